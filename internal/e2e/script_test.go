package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dailies/internal/catalog"
	"dailies/internal/sandbox"
	"dailies/internal/store/s3test"
)

// TestScripts runs testdata/script over the real binary. Beside testscript's own commands there are
//
//	sandbox [pace=P] [plan=NAME] [credits=N] [key=K] [project=ID] [faults=FILE] [concurrency=N]
//	                           start the simulated API and point the environment at it
//	bought N                   it has accepted N purchases
//	s3                         start a real S3 server and point the environment at it; $BUCKET is there
//	exits CODE COMMAND…        the command ends with this exit code
//	webhook                    start a webhook; $HOOK is its address
//	told PATTERN               the last thing the webhook was told
//	picks RESULTS FILE ID=PICK…  save what a person picked, as the gallery does
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(repo, "testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "home", "cache"))
			e.Setenv("REPO", repo)
			e.Setenv("PATH", filepath.Dir(dailies)+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Values[surroundings{}] = &surroundings{tb: e.T().(testing.TB)}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sandbox": startSandbox,
			"bought":  bought,
			"s3":      startS3,
			"exits":   exits,
			"picks":   writePicks,
			"webhook": startWebhook,
			"told":    told,
		},
	})
}

// surroundings are what one script has started.
type surroundings struct {
	tb   testing.TB
	api  *sandbox.Server
	hook *webhook
}

func around(ts *testscript.TestScript) *surroundings { return ts.Value(surroundings{}).(*surroundings) }

func startSandbox(ts *testscript.TestScript, neg bool, args []string) {
	o := sandboxOptions()
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch name {
		case "pace":
			o.Pace, err = strconv.ParseFloat(value, 64)
		case "plan":
			o.Plan = value
		case "credits":
			o.Credits = value
		case "key":
			o.Key, o.Secret = value, value
		case "project":
			o.ProjectID = value
		case "concurrency":
			o.Concurrency, err = strconv.Atoi(value)
		case "faults":
			o.Faults, err = sandbox.ParseFaults([]byte(ts.ReadFile(value)))
		default:
			ts.Fatalf("sandbox: unknown option %q", name)
		}
		ts.Check(err)
	}
	s, url, stop, err := serveSandbox(o)
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("SCENARIO_BASE_URL", url)
	ts.Setenv("SCENARIO_SDK_API_KEY", "key")
	ts.Setenv("SCENARIO_SDK_API_SECRET", "secret")
	around(ts).api = s
}

// sandboxOptions is a sandbox that is done at once and knows what the catalog knows.
func sandboxOptions() sandbox.Options {
	known := catalog.Snapshot()
	var ids []string
	for id := range known.Records() {
		ids = append(ids, id)
	}
	return sandbox.Options{Models: known.Record, ModelIDs: ids, Log: io.Discard, RequestsPerMinute: -1}
}

// serveSandbox serves a sandbox on loopback until stop.
func serveSandbox(o sandbox.Options) (s *sandbox.Server, baseURL string, stop func(), err error) {
	if s, err = sandbox.New(o); err != nil {
		return nil, "", nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			panic(err)
		}
	}()
	return s, "http://" + ln.Addr().String() + "/v1", func() { s.Close(); <-done }, nil
}

func bought(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := len(around(ts).api.Book()); (got == want) == neg {
		ts.Fatalf("%d purchases in the sandbox's book", got)
	}
}

func startS3(ts *testscript.TestScript, neg bool, args []string) {
	server := s3test.Start(around(ts).tb)
	for _, pair := range server.Env() {
		name, value, _ := strings.Cut(pair, "=")
		ts.Setenv(name, value)
	}
	ts.Setenv("BUCKET", server.Bucket)
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if (got == want) == neg {
		ts.Fatalf("%s exited with %d", args[1], got)
	}
}
