package store

import (
	"context"
	"io"
	"iter"
	"strings"

	"dailies/pipeline"
)

// Sub returns the part of s under prefix, a plain relative path. Closing it closes s.
func Sub(s Store, prefix string) Store { return &sub{Store: s, prefix: prefix + "/"} }

type sub struct {
	Store  // Probe and Close are those of the whole
	prefix string
}

func (s *sub) URI(key string) string { return s.Store.URI(s.prefix + key) }

func (s *sub) Put(ctx context.Context, key string, body io.Reader, size int64, meta pipeline.ObjectMeta) (pipeline.Object, error) {
	o, err := s.Store.Put(ctx, s.prefix+key, body, size, meta)
	return s.inside(o), err
}

func (s *sub) List(ctx context.Context, prefix string) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		for o, err := range s.Store.List(ctx, s.prefix+prefix) {
			if !yield(s.inside(o), err) {
				return
			}
		}
	}
}

func (s *sub) Move(ctx context.Context, from, to string) error {
	return s.Store.Move(ctx, s.prefix+from, s.prefix+to)
}

func (s *sub) Open(ctx context.Context, key string) (io.ReadCloser, pipeline.Object, error) {
	body, o, err := s.Store.Open(ctx, s.prefix+key)
	return body, s.inside(o), err
}

func (s *sub) Remove(ctx context.Context, key string) error {
	return s.Store.Remove(ctx, s.prefix+key)
}

func (s *sub) ReadRecord(ctx context.Context, key string) ([]byte, string, error) {
	return s.Store.ReadRecord(ctx, s.prefix+key)
}

func (s *sub) WriteRecord(ctx context.Context, key string, data []byte, version string) (string, error) {
	return s.Store.WriteRecord(ctx, s.prefix+key, data, version)
}

func (s *sub) inside(o pipeline.Object) pipeline.Object {
	o.Key = strings.TrimPrefix(o.Key, s.prefix)
	return o
}
