package scenario

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"dailies/pipeline"
)

const (
	bulkMost = 200 // ids a request; above it the whole call is refused [DOC]

	// A bulk request waits for company: jobs found ended by one look come here one by one, each once its record has
	// been written. The fewer requests there are to spare the longer it waits, for what several looks found.
	gatherLeast = 50 * time.Millisecond
	gatherMost  = 8 * time.Second
)

// original asks for URLs of the files as they were made, not of renditions [DOC].
var original = url.Values{"originalAssets": {"true"}}

// bulk joins the questions of many callers into few requests.
type bulk struct {
	client *Client

	mu    sync.Mutex
	open  *batch // takes more ids; nil when none does
	shut  bool   // for good
	group sync.WaitGroup
}

// A batch is one request for many assets, on behalf of many callers.
type batch struct {
	ctx     context.Context // ends when no caller is left
	cancel  context.CancelFunc
	ids     []string
	known   map[string]bool
	callers int
	full    chan struct{} // closed when no more ids fit
	done    chan struct{} // closed when assets and err are final
	assets  map[string]pipeline.Asset
	err     error
}

// Assets describes assets, with URLs signed anew. Calls made at about the same time share a request.
func (c *Client) Assets(ctx context.Context, ids []string) (map[string]pipeline.Asset, error) {
	found := make(map[string]pipeline.Asset, len(ids))
	batches, err := c.bulk.join(ids)
	if err != nil {
		return nil, err
	}
	defer c.bulk.leave(batches)
	for _, b := range batches {
		select {
		case <-b.done:
		case <-ctx.Done():
			return nil, interrupted(call{about: "assets"}, &failure{err: context.Cause(ctx)})
		}
		if b.err != nil {
			return nil, b.err
		}
		for _, id := range ids {
			if a, ok := b.assets[id]; ok {
				found[id] = a
			}
		}
	}
	return found, nil
}

// join puts the ids into the open batch, and into new ones where it is full.
func (q *bulk) join(ids []string) ([]*batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return nil, interrupted(call{about: "assets"}, &failure{err: errClosed})
	}
	var joined []*batch
	for _, id := range ids {
		if q.open == nil {
			q.begin()
		}
		b := q.open
		if !b.known[id] {
			b.known[id] = true
			b.ids = append(b.ids, id)
		}
		if !slices.Contains(joined, b) {
			b.callers++
			joined = append(joined, b)
		}
		if len(b.ids) == bulkMost {
			close(b.full)
			q.open = nil
		}
	}
	return joined, nil
}

// begin opens a batch. The lock is held.
func (q *bulk) begin() {
	b := &batch{known: make(map[string]bool), full: make(chan struct{}), done: make(chan struct{})}
	b.ctx, b.cancel = context.WithCancel(q.client.life)
	q.open = b
	q.group.Go(func() {
		defer b.cancel()
		defer close(b.done)
		select {
		case <-b.full:
		case <-time.After(q.gathering()):
		case <-b.ctx.Done():
		}
		b.assets, b.err = q.client.describe(b.ctx, func() []string { return q.take(b) })
	})
}

// gathering is how long a batch stays open.
func (q *bulk) gathering() time.Duration {
	l := q.client.limiter
	short := max(0, 1-1.5*float64(l.spare())/float64(l.n))
	return gatherLeast + time.Duration(short*float64(gatherMost-gatherLeast))
}

// take closes the batch to newcomers and returns its ids.
func (q *bulk) take(b *batch) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == b {
		q.open = nil
	}
	return b.ids
}

// leave takes a caller out; a batch nobody waits for is given up.
func (q *bulk) leave(batches []*batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range batches {
		if b.callers--; b.callers > 0 {
			continue
		}
		b.cancel()
		if q.open == b {
			q.open = nil
		}
	}
}

// stop turns newcomers away and waits for what is in the air, after the client's life has ended.
func (q *bulk) stop() {
	q.mu.Lock()
	q.shut = true
	q.mu.Unlock()
	q.group.Wait()
}

// describe asks for many assets at once. ids is called when the request's turn has come.
func (c *Client) describe(ctx context.Context, ids func() []string) (map[string]pipeline.Asset, error) {
	var asked []string
	rq := call{kind: "bulk", about: "assets", priority: forAsset, method: http.MethodPost,
		path: []string{"assets", "get-bulk"}, query: original}
	rq.body = func() (io.Reader, int64) {
		asked = ids()
		return jsonBody(map[string]any{"assetIds": asked})()
	}
	var out struct{ Assets *[]json.RawMessage }
	err := c.ask(ctx, rq, &out)
	switch {
	case pipeline.CodeOf(err) == pipeline.CodeNotFound:
		return c.describeEach(ctx, asked) // one bad id must not hide the others
	case err != nil:
		ids()
		return nil, err
	case out.Assets == nil:
		return nil, pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: the answer has no assets field", rq.about)
	}
	found := make(map[string]pipeline.Asset, len(asked))
	for _, row := range *out.Assets {
		if a, ok := decodeAsset(row); ok {
			found[a.ID] = a
		}
	}
	return found, nil
}

// describeEach asks for assets one by one.
func (c *Client) describeEach(ctx context.Context, ids []string) (map[string]pipeline.Asset, error) {
	found := make(map[string]pipeline.Asset)
	for _, id := range ids {
		if checkID("an asset", id) != nil {
			continue
		}
		var out struct{ Asset json.RawMessage }
		rq := call{kind: "asset", about: "asset " + id, priority: forAsset, method: http.MethodGet,
			path: []string{"assets", id}, query: original}
		err := c.ask(ctx, rq, &out)
		if pipeline.CodeOf(err) == pipeline.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if a, ok := decodeAsset(out.Asset); ok {
			found[id] = a
		}
	}
	return found, nil
}

// decodeAsset reads one asset; ok is false when it has no id.
func decodeAsset(data []byte) (pipeline.Asset, bool) {
	var a struct {
		ID, URL, MimeType, Kind, Status   text
		OriginalFileURL, OriginalMimeType text
		Properties                        properties
		Metadata                          consumed
	}
	if json.Unmarshal(data, &a) != nil || a.ID == "" {
		return pipeline.Asset{}, false
	}
	asset := pipeline.Asset{
		ID:       string(a.ID),
		URL:      string(a.URL),
		MIME:     string(a.MimeType),
		Kind:     string(a.Kind),
		Ready:    a.Status == "success" || a.Status == "",
		Broken:   stateOf(string(a.Status)) == pipeline.JobFailed,
		Bytes:    a.Properties.Size.whole(),
		Width:    int(a.Properties.Width.whole()),
		Height:   int(a.Properties.Height.whole()),
		Duration: max(0, a.Properties.Duration.float()),
		Text:     string(a.Properties.Preview),
		TextCut:  a.Properties.Preview != "" && !bool(a.Properties.HasFullPreview),
		Consumed: a.Metadata.inputs,
		Parent:   a.Metadata.parent,
	}
	if a.OriginalFileURL != "" && a.OriginalFileURL != a.URL {
		// What the model made, where url is a rendition of it [SEEN]; the size told may be the rendition's [INF].
		asset.URL, asset.Bytes = string(a.OriginalFileURL), 0
		if a.OriginalMimeType != "" {
			asset.MIME = string(a.OriginalMimeType)
		}
	}
	return asset, true
}

// consumed is what an asset's metadata says the model was given: by input, the ids of assets; and its parent. Fields of
// other forms are not about assets. [SEEN]
type consumed struct {
	inputs map[string][]string
	parent string
}

func (c *consumed) UnmarshalJSON(data []byte) error {
	*c = consumed{}
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return nil
	}
	for name, raw := range fields {
		var one string
		var many []string
		switch {
		case json.Unmarshal(raw, &one) == nil && strings.HasPrefix(one, "asset_"):
			many = []string{one}
		case len(raw) > 0 && raw[0] == '[' && json.Unmarshal(raw, &many) == nil &&
			!slices.ContainsFunc(many, func(id string) bool { return !strings.HasPrefix(id, "asset_") }):
		default:
			continue
		}
		if name == "parentId" {
			c.parent = one
			continue
		}
		if c.inputs == nil {
			c.inputs = make(map[string][]string)
		}
		c.inputs[name] = many
	}
	return nil
}

// properties of an asset.
type properties struct {
	Size, Width, Height, Duration number
	Preview                       text // of a text asset: its first 1024 characters [CODE]
	HasFullPreview                flag // it is not longer than that [CODE]
}

func (p *properties) UnmarshalJSON(data []byte) error {
	type plain properties
	if json.Unmarshal(data, (*plain)(p)) != nil {
		*p = properties{}
	}
	return nil
}
