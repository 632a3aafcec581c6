package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"dailies/pipeline"
)

// probe goes once through all that a run will ask of a destination.
func probe(ctx context.Context, s Store) (err error) {
	key := ".dailies/probe-" + rand.Text()
	defer func() {
		if removed := s.Remove(context.WithoutCancel(ctx), key); err == nil {
			err = removed
		}
	}()
	first, second := []byte(`{"probe": 1}`), []byte(`{"probe": 2}`)
	if err := tryWrite(ctx, s, key, "", first, accepted); err != nil {
		return err
	}
	data, version, err := s.ReadRecord(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, first) {
		return unfit(s, key, "what is read is not what was written")
	}
	if err := tryWrite(ctx, s, key, "", second, conflict); err != nil {
		return err
	}
	if err := tryWrite(ctx, s, key, version, second, accepted); err != nil {
		return err
	}
	if err := tryWrite(ctx, s, key, version, first, conflict); err != nil {
		return err
	}
	seen := 0
	for o, err := range s.List(ctx, key) {
		if err != nil {
			return err
		}
		if o.Key == key && o.Bytes == int64(len(second)) {
			seen++
		}
	}
	if seen != 1 {
		return unfit(s, key, "a listing does not show what was just written")
	}
	if err := s.Remove(ctx, key); err != nil {
		return err
	}
	if _, _, err := s.ReadRecord(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return unfit(s, key, "what was deleted can still be read")
	}
	return nil
}

type answer bool

const (
	accepted answer = true
	conflict answer = false
)

// tryWrite makes one conditional write, of which it is known how it has to be answered.
func tryWrite(ctx context.Context, s Store, key, version string, data []byte, want answer) error {
	_, err := s.WriteRecord(ctx, key, data, version)
	refused := errors.Is(err, pipeline.ErrConflict)
	switch {
	case err == nil && want == conflict:
		return unfit(s, key, "it ignores conditional writes, without which two runs could buy the same item")
	case refused && want == accepted:
		return unfit(s, key, "it refuses a conditional write that it should accept")
	case refused:
		return nil
	}
	return err
}

func unfit(s Store, key, why string) error {
	return &pipeline.Error{Code: pipeline.CodeDestinationDenied, Message: fmt.Sprintf("%s: %s", s.URI(key), why),
		Hint: "choose a destination that answers If-None-Match and If-Match as S3 does, or a folder"}
}
