//go:build unix

package ledger_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"
)

var background = context.Background()

func TestMain(m *testing.M) {
	if os.Getenv("CHILD_RUN") != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}
