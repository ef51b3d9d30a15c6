"""The process kubelet: pods as groups of processes of this machine."""
