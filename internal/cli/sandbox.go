package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dailies/internal/sandbox"
	"dailies/pipeline"
)

func (a *app) sandboxCommand() *cobra.Command {
	var listen, faults string
	var verbose bool
	var assetBytes int64
	var o sandbox.Options
	cmd := &cobra.Command{
		Use: "sandbox [flags]", Short: "Serve the simulated API on a loopback address", Args: cobra.NoArgs,
		Long: `Serves the simulated API: the same routes, checks, limits, prices and signed links, and media that says it is
simulated. Point dailies, or any other client, at it with SCENARIO_BASE_URL; any key and secret will do unless
--key is given.`,
		Example: `  dailies sandbox --listen 127.0.0.1:8787 --faults testdata/faults/bad-night.yaml
  SCENARIO_BASE_URL=http://127.0.0.1:8787/v1 SCENARIO_SDK_API_KEY=k SCENARIO_SDK_API_SECRET=s dailies run night.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			known := sandboxOptions()
			o.Models, o.ModelIDs, o.Log = known.Models, known.ModelIDs, known.Log
			if faults != "" {
				script, err := os.ReadFile(faults)
				if err != nil {
					return usagef(cmd, "%w", err)
				}
				if o.Faults, err = sandbox.ParseFaults(script); err != nil {
					e := *pipeline.AsError(err)
					e.Message = faults + ": " + e.Message
					return &e
				}
			}
			if assetBytes > 0 {
				o.AssetBytes = func(string) int64 { return assetBytes }
			}
			if verbose {
				o.Log = a.Stderr
			}
			return a.serve(cmd.Context(), o, listen)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:0", "loopback address to listen on; port 0 finds a free one")
	f.StringVar(&faults, "faults", "", "YAML script of what goes wrong")
	f.StringVar(&o.Key, "key", "", "API key to accept (default any)")
	f.StringVar(&o.Secret, "secret", "", "API secret to accept")
	f.StringVar(&o.ProjectID, "project", "", "project the key belongs to")
	f.Float64Var(&o.Pace, "pace", 1, "how long generations take: 1 is life, 0 is at once")
	f.IntVar(&o.RequestsPerMinute, "requests-per-minute", 100, "requests a minute per project; below 0 is no limit")
	f.IntVar(&o.Concurrency, "concurrency", 10, "generations in flight per project; below 0 is no limit")
	f.DurationVar(&o.URLLife, "url-life", 24*time.Hour, "how long a signed link lives")
	f.StringVar(&o.Plan, "plan", "", "plan of the account, such as cu-basic: models above it are refused")
	f.StringVar(&o.Credits, "credits", "", "creative units there are to spend (default endless)")
	f.StringVar(&o.Book, "book", "", "file to keep jobs and uploads in, so that they outlive the process")
	f.Int64Var(&assetBytes, "asset-bytes", 0, "for load tests: every generation makes one file of this many bytes")
	f.BoolVar(&verbose, "verbose", false, "a line a request on stderr")
	return cmd
}

// serve runs a sandbox until a signal. The address goes to stdout, for scripts that let it find its port.
func (a *app) serve(ctx context.Context, o sandbox.Options, address string) error {
	if host, _, err := net.SplitHostPort(address); err != nil || !isLoopback(host) {
		return badFlag("listen", address, "a loopback address with a port, such as 127.0.0.1:8787")
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return pipeline.Errorf(pipeline.CodeUsage, "%w", err)
	}
	s, err := sandbox.New(o)
	if err != nil {
		ln.Close()
		return err
	}
	fmt.Fprintln(a.Stderr, "SANDBOX: a simulated API. Nothing is bought, and what it makes is a stand-in.")
	fmt.Fprintf(a.Stdout, "SCENARIO_BASE_URL=http://%s/v1\n", ln.Addr())
	defer context.AfterFunc(ctx, func() { s.Close() })()
	err = s.Serve(ln)
	if ctx.Err() != nil {
		return nil // told to stop: that is how it ends
	}
	return err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
