// Dailies runs a studio's generation batch: a manifest of prompts becomes delivered assets and a results manifest.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"dailies/internal/cli"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(cli.Main(cli.IO{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals}, os.Args[1:]))
}
