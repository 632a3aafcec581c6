package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// bareRole names, in the environment, the plain program that this test binary is to be, for benchmarks to be held
// against. None of them knows a line of dailies.
const bareRole = "DAILIES_BARE"

func runBare(role string, args []string) error {
	switch role {
	case "copy":
		atOnce, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return bareCopy(os.Stdin, atOnce)
	case "make":
		return bareMake(args[0], args[1], args[2])
	}
	return fmt.Errorf("no such role: %q", role)
}

func decode(b *testing.B, data []byte, v any) {
	b.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		b.Fatalf("%v: %s", err, data)
	}
}
