package store_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if uri := os.Getenv("CHILD_PUT"); uri != "" {
		if err := putChild(uri, os.Getenv("CHILD_LOAD")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
