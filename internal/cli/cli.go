// Package cli is what people and scripts type: commands, flags, exit codes, and how errors are shown. It wires the
// adapters to the engine and decides nothing that they could.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dailies/internal/manifest"
	"dailies/pipeline"
)

// IO is the process's surroundings.
type IO struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal
}

// app is one invocation.
type app struct {
	IO
	// working ends at the second signal, when everything is to be dropped; the context of the command itself ends
	// at the first, with the signal as its cause.
	working context.Context
}

// Main runs one command and returns the exit code.
func Main(streams IO, args []string) int {
	working, drop := context.WithCancel(context.Background())
	defer drop()
	ctx, stop := context.WithCancelCause(working)
	defer stop(nil)
	a := &app{IO: streams, working: working}
	go func() {
		for n := 0; ; n++ {
			select {
			case sig := <-streams.Signals:
				if n > 0 {
					drop()
					return
				}
				stop(&interruption{pipeline.Errorf(pipeline.CodeInterrupted, "interrupted by %s", signalName(sig)), sig})
			case <-working.Done():
				return
			}
		}
	}()

	root := a.root()
	root.SetArgs(args)
	root.SetIn(streams.Stdin)
	root.SetOut(streams.Stdout)
	root.SetErr(streams.Stderr)
	err := root.ExecuteContext(ctx)
	return a.exitCode(ctx, err)
}

// An interruption is the cause a context ends with at a signal.
type interruption struct {
	err    *pipeline.Error
	signal os.Signal
}

func (i *interruption) Error() string { return i.err.Error() }
func (i *interruption) Unwrap() error { return i.err }

func signalName(sig os.Signal) string {
	if sig == syscall.SIGTERM {
		return "SIGTERM"
	}
	return "SIGINT"
}

// exited carries an exit code whose reasons have been shown already.
type exited int

func (e exited) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exitCode shows what is still to be shown of an error, and maps it.
func (a *app) exitCode(ctx context.Context, err error) int {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = context.Cause(ctx) // whatever was cut short, it was the signal that did it
	}
	code := pipeline.ExitDone
	if done, ok := errors.AsType[exited](err); ok {
		code = int(done)
	} else if err != nil {
		code = a.show(err)
	}
	if code == pipeline.ExitInterrupted {
		if i, ok := errors.AsType[*interruption](context.Cause(ctx)); ok && i.signal == syscall.SIGTERM {
			code = pipeline.ExitTerminated
		}
	}
	return code
}

// show prints an error with its way out, and returns its exit code.
func (a *app) show(err error) int {
	defer a.annotateError(err)
	if problems, ok := errors.AsType[manifest.Problems](err); ok {
		a.showProblems(problems)
		return pipeline.ExitUsage
	}
	e := pipeline.AsError(err)
	fmt.Fprintf(a.Stderr, "dailies: %s\n", e.Error())
	if hint := e.HintText(); hint != "" {
		fmt.Fprintf(a.Stderr, "hint: %s\n", hint)
	}
	return e.Code.Traits().Exit
}

// showProblems prints what is wrong with a manifest.
func (a *app) showProblems(problems manifest.Problems) {
	for _, p := range problems {
		p.Format(a.Stderr, a.color(a.Stderr))
	}
	fmt.Fprintf(a.Stderr, "%s; nothing was spent\n", pipeline.Count(len(problems), "problem"))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "dailies",
		Short: "Run a batch of generations from a manifest, and deliver what it makes",
		Long: `Dailies makes what a manifest lists: prompts and payloads for Veo, Kling, Happy Horse and every other model
behind the Scenario API. It submits them, follows them, puts the finished assets into a folder or an S3
bucket, and writes down what became of every item.

dailies run is idempotent: whatever happened, run the same command again. What is delivered is not bought
again, what is still generating is collected, and what was lost is looked for before it is paid for.`,
		Example: `  dailies init my-batch              write a starter manifest
  dailies run my-batch.yaml --sandbox   rehearse for nothing
  dailies run my-batch.yaml --budget 500`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			e := pipeline.Errorf(pipeline.CodeUsage, "there is no command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				e.Hint = fmt.Sprintf("did you mean %s? dailies --help lists all", strings.Join(near, " or "))
			}
			return e
		},
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd, "%w", err)
	})
	root.AddCommand(a.runCommand(), a.planCommand(), a.validateCommand(), a.statusCommand(), a.reportCommand(), a.rerollCommand(),
		a.promoteCommand(), a.modelsCommand(), a.initCommand(), a.schemaCommand(), a.sandboxCommand(), a.versionCommand())
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true
		check := c.Args
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usagef(cmd, "%w", err)
			}
			return environment(cmd.Flags())
		}
	}
	return root
}

// usagef is an error in how a command was called.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	e := pipeline.Errorf(pipeline.CodeUsage, format, args...)
	e.Hint = fmt.Sprintf("%s --help shows how it is called", cmd.CommandPath())
	return e
}

// environment gives flags that were not typed the value of their DAILIES_* variable, if that is set.
func environment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "DAILIES_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, set := os.LookupEnv(name)
		if !set || value == "" || f.Changed || f.Name == "help" || err != nil {
			return
		}
		if bad := flags.Set(f.Name, value); bad != nil {
			err = pipeline.Errorf(pipeline.CodeUsage, "environment variable %s: %w", name, bad)
		}
	})
	return err
}
