//go:build race

package e2e

// The binary is watched for races when the tests are.
var buildFlags = []string{"-race"}
