package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dailies/internal/sandbox"
	"dailies/pipeline"
)

// A proof holds what a client did against the sandbox's own book.
type proof struct {
	bought, twice, lost int
	spent               pipeline.CU
	problems            []string
}

func (p *proof) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// A claim is an item as results.json or a summary tells it.
type claim struct {
	id, jobID string
	outputs   []pipeline.Output
}

// prove holds a finished batch against the book: each payload was bought once for each item that has it, every item
// has a job of its own, and what was delivered is byte for byte what the sandbox made. read gives a delivered object.
func prove(api *sandbox.Server, items []claim, read func(key string) ([]byte, error)) (p proof) {
	book := api.Book()
	p.bought = len(book)
	jobs := map[string]sandbox.Purchase{}
	for _, b := range book {
		jobs[b.JobID] = b
		if !b.Refunded {
			p.spent += b.Cost
		}
	}
	wanted, owned := map[string]int{}, map[string]bool{}
	for _, it := range items {
		job, ok := jobs[it.jobID]
		if !ok || owned[it.jobID] {
			p.lost++
			p.problem("%s has the job %q, which is not in the book or another item's", it.id, it.jobID)
			continue
		}
		owned[it.jobID] = true
		wanted[job.Model+string(job.Payload)]++
		if len(it.outputs) != len(job.AssetIDs) || len(it.outputs) == 0 {
			p.lost++
			p.problem("%s has %d outputs, its job %d assets", it.id, len(it.outputs), len(job.AssetIDs))
			continue
		}
		for _, o := range it.outputs {
			want, err := assetDigest(api, o.AssetID)
			if err != nil {
				p.problem("%s: %v", o.AssetID, err)
				continue
			}
			got, err := read(o.Key)
			if sum := sha256.Sum256(got); err != nil || hex.EncodeToString(sum[:]) != want || o.SHA256 != want {
				p.lost++
				p.problem("%s: %s is not what the sandbox made (%d bytes, %v)", it.id, o.Key, len(got), err)
			}
		}
	}
	for _, b := range book {
		key := b.Model + string(b.Payload)
		if wanted[key]--; wanted[key] < 0 {
			p.twice++
			p.problem("bought too often: %s %s (job %s at %s)", b.Model, b.Payload, b.JobID, b.At)
		}
	}
	for name, n := range api.Requests() {
		if (name == sandbox.BreachCDNAuth || name == sandbox.BreachPartAuth) && n > 0 {
			p.problem("%s, %d times", name, n)
		}
	}
	return p
}

func (p *proof) check(t *testing.T) {
	t.Helper()
	for _, problem := range p.problems {
		t.Error(problem)
	}
}

const testKey, testSecret = "e2e-test-key", "e2e-test-secret"

// assetDigest is the SHA-256 of an asset as the sandbox has it, in hex. It asks past every gate, and again where the
// sandbox itself was told to answer badly.
func assetDigest(api http.Handler, id string) (sum string, err error) {
	for range 20 {
		if sum, err = askDigest(api, id); err == nil {
			return sum, nil
		}
	}
	return "", err
}

func askDigest(api http.Handler, id string) (_ string, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("asset %s: the sandbox reset the connection", id)
		}
	}()
	ask := func(url string) ([]byte, error) {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		r.Host = "proof.example"
		if strings.Contains(url, "/v1/") {
			r.SetBasicAuth(testKey, testSecret)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			return nil, fmt.Errorf("%s: status %d", r.URL.Path, w.Code)
		}
		return w.Body.Bytes(), nil
	}
	answer, err := ask("http://proof.example/v1/assets/" + id)
	if err != nil {
		return "", err
	}
	var a struct {
		Asset struct {
			URL        string
			Properties struct{ Size int }
		}
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return "", err
	}
	data, err := ask(a.Asset.URL)
	if err == nil && len(data) != a.Asset.Properties.Size {
		err = fmt.Errorf("asset %s: %d bytes came of %d", id, len(data), a.Asset.Properties.Size)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}
