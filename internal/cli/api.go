package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dailies/internal/catalog"
	"dailies/internal/sandbox"
	"dailies/internal/scenario"
	"dailies/pipeline"
)

const (
	defaultBaseURL = "https://api.cloud.scenario.com/v1"

	// rehearsalPace makes run --sandbox a tenth as long as life: a clip takes some eight seconds.
	rehearsalPace = 0.1
	// rehearsalGrace is enough where the listing does not lag.
	rehearsalGrace = 5 * time.Second
)

// account is whom the environment says to work as.
type account struct {
	baseURL, key, secret, project string
}

func accountFromEnvironment() account {
	a := account{baseURL: os.Getenv("SCENARIO_BASE_URL"), key: os.Getenv("SCENARIO_SDK_API_KEY"),
		secret: os.Getenv("SCENARIO_SDK_API_SECRET"), project: os.Getenv("SCENARIO_PROJECT_ID")}
	if a.baseURL == "" {
		a.baseURL = defaultBaseURL
	}
	a.baseURL = strings.TrimRight(a.baseURL, "/")
	return a
}

func (a account) known() bool { return a.key != "" && a.secret != "" }

// realm is where the account's jobs live. A key belongs to one project, so without a project id it stands for one.
func (a account) realm() pipeline.Realm {
	r := pipeline.Realm{BaseURL: a.baseURL, Project: a.project}
	if r.Project == "" {
		sum := sha256.Sum256([]byte("dailies key " + a.key))
		r.Project = "key-" + hex.EncodeToString(sum[:8])
	}
	return r
}

// sandboxRealm is every rehearsal's, whatever port it was on.
var sandboxRealm = pipeline.Realm{BaseURL: "sandbox"}

// connection is an API to work with.
type connection struct {
	*scenario.Client
	realm     pipeline.Realm
	baseURL   string
	simulated bool
	close     func()
}

// connect opens the account's API; no request is made.
func (c account) connect(perMinute int, watch *watcher) (*connection, error) {
	client, err := scenario.New(scenario.Config{BaseURL: c.baseURL, Key: c.key, Secret: c.secret, ProjectID: c.project,
		Version: thisBuild().Version, RequestsPerMinute: perMinute, Notice: watch.notice, Exchanged: watch.exchange})
	if err != nil {
		return nil, err
	}
	return &connection{Client: client, realm: c.realm(), baseURL: c.baseURL, close: func() { client.Close() }}, nil
}

// rehearse starts the sandbox within this process and opens it. It keeps a book, so that a rehearsal can be killed and
// run again like the real thing.
func rehearse(s settings, watch *watcher) (*connection, error) {
	folder, err := rehearsalFolder(s)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, pipeline.Errorf(pipeline.CodeDestinationDenied, "sandbox: %w", err)
	}
	o := sandboxOptions()
	o.Pace, o.Book, o.RequestsPerMinute = rehearsalPace, filepath.Join(folder, "book.jsonl"), s.requestsPerMinute
	server, err := sandbox.New(o)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	go server.Serve(ln) // ends when the server is closed
	c, err := account{baseURL: "http://" + ln.Addr().String() + "/v1", key: "sandbox", secret: "sandbox"}.connect(s.requestsPerMinute, watch)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	c.realm, c.baseURL, c.simulated = sandboxRealm, "sandbox", true
	stop := c.close
	c.close = func() { stop(); server.Close() }
	return c, nil
}

// sandboxOptions gives a sandbox the models of the catalog.
func sandboxOptions() sandbox.Options {
	known := catalog.Snapshot()
	var ids []string
	for id := range known.Records() {
		ids = append(ids, id)
	}
	return sandbox.Options{Models: known.Record, ModelIDs: ids, Log: io.Discard}
}

// contracts is the catalog: the snapshot, the live contracts fetched earlier, and, given an API, those it must still
// be asked for.
type contracts struct {
	*catalog.Catalog
	cache catalog.Cache
	ctx   context.Context
	live  *scenario.Client // nil: offline
}

// modelCache is the folder of the contracts that an API gave.
func modelCache(baseURL string) (catalog.Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return catalog.Cache{}, pipeline.Errorf(pipeline.CodeUsage, "no cache folder: %w", err)
	}
	sum := sha256.Sum256([]byte(baseURL))
	return catalog.NewCache(filepath.Join(dir, "dailies", "models", hex.EncodeToString(sum[:8]))), nil
}

// loadContracts is the catalog as an API's users see it. Without an account the snapshot must do.
func (a *app) loadContracts(ctx context.Context, acc account, live *scenario.Client) *contracts {
	c := &contracts{Catalog: catalog.Snapshot(), ctx: ctx, live: live}
	cache, err := modelCache(acc.baseURL)
	if err != nil {
		c.live = nil // nowhere to keep what it says: not worth asking
		return c
	}
	c.cache = cache
	records, notes := cache.Load()
	for _, n := range notes {
		a.note("%s", n)
	}
	if len(records) > 0 {
		c.Catalog = c.With(records)
	}
	return c
}

// Contract asks the API about a model that is in neither the snapshot nor the cache.
func (c *contracts) Contract(name string) (pipeline.Contract, error) {
	found, err := c.Catalog.Contract(name)
	if pipeline.CodeOf(err) != pipeline.CodeModelUnknown || c.live == nil || !strings.HasPrefix(name, "model_") {
		return found, err
	}
	if refreshErr := c.refresh(name); refreshErr != nil {
		if pipeline.CodeOf(refreshErr) == pipeline.CodeNotFound {
			return found, err
		}
		return nil, refreshErr
	}
	return c.Catalog.Contract(name)
}

// refresh asks the API for contracts, and keeps them.
func (c *contracts) refresh(ids ...string) error {
	fresh := map[string]json.RawMessage{}
	err := c.cache.Refresh(c.ctx, func(ctx context.Context, id string) (json.RawMessage, error) {
		record, err := c.live.Model(ctx, id)
		if err == nil {
			fresh[id] = record
		}
		return record, err
	}, ids...)
	if len(fresh) > 0 {
		records, _ := c.cache.Load()
		c.Catalog = catalog.Snapshot().With(records)
	}
	return err
}
