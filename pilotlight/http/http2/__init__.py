"""HTTP/2 without TLS, for gRPC. Imported only where it is spoken: a pod that does not never loads
it. `h2` frames, compresses and keeps the states of streams; what a stream carries becomes the same
`Exchange` that a request of HTTP/1.1 does.
"""
