//go:build tools

// Package peers names the programs that are built here as they are.
package peers

import (
	_ "knative.dev/serving/cmd/activator"
	_ "knative.dev/serving/cmd/queue"
)
