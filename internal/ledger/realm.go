package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"

	"dailies/pipeline"
)

const (
	realmSchema = "dailies.realm/v1"
	realmFile   = "realm.json"
)

// A deed says whose the records beside it are.
type deed struct {
	Schema string         `json:"schema"`
	Realm  pipeline.Realm `json:"realm"`
}

// A home is where a realm's records are: "" or "realms/<digest>/".
type home struct {
	dir     string
	claimed bool // its deed is written
}

// find returns where to read, without claiming anything.
func (l *Ledger) find(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.home == nil {
		h, err := l.look(ctx)
		if err != nil {
			return "", err
		}
		l.home = &h
	}
	return l.home.dir, nil
}

// claim returns where to write. If another realm was quicker to claim the top, what was read there is not ours: a
// record written with its version is then refused as a conflict.
func (l *Ledger) claim(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.home == nil || !l.home.claimed {
		h, err := l.look(ctx)
		if err != nil {
			return "", err
		}
		if !h.claimed {
			_, err := l.blobs.WriteRecord(ctx, h.dir+realmFile, encode(deed{Schema: realmSchema, Realm: l.realm}), "")
			if errors.Is(err, pipeline.ErrConflict) {
				continue // look who it was
			}
			if err != nil {
				return "", err
			}
			h.claimed = true
		}
		l.learnListing(ctx, h.dir)
		l.home = &h
	}
	return l.home.dir, nil
}

// look finds the realm's home. A folder of its own counts before an unclaimed top: it holds what was bought already.
func (l *Ledger) look(ctx context.Context) (home, error) {
	own := "realms/" + l.digest() + "/"
	top, err := l.deed(ctx, realmFile)
	if err != nil {
		return home{}, err
	}
	if top != nil && top.Realm == l.realm {
		return home{dir: "", claimed: true}, nil
	}
	there, err := l.deed(ctx, own+realmFile)
	if err != nil {
		return home{}, err
	}
	if there == nil && top == nil {
		return home{dir: ""}, nil
	}
	if there != nil && there.Realm != l.realm {
		return home{}, l.damaged(own+realmFile, errors.New("it is the claim of another project or API"))
	}
	return home{dir: own, claimed: there != nil}, nil
}

// deed reads a claim, nil when nobody made it.
func (l *Ledger) deed(ctx context.Context, key string) (*deed, error) {
	data, _, err := l.blobs.ReadRecord(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var d deed
	if err := strict(data, &d); err != nil {
		return nil, l.damaged(key, err)
	}
	if d.Schema != realmSchema {
		return nil, l.damaged(key, errors.New("it was written by another version of dailies"))
	}
	return &d, nil
}

func (l *Ledger) digest() string {
	sum := sha256.Sum256(pipeline.Canonical(map[string]any{"base_url": l.realm.BaseURL, "project": l.realm.Project}))
	return hex.EncodeToString(sum[:6])
}
