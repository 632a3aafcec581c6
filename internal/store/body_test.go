package store

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A sender may take its time; a server that leaves bytes lying may not.
func TestOnlyTheServersSlownessCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gaveUp atomic.Bool
		watch := time.AfterFunc(time.Minute, func() { gaveUp.Store(true) })
		defer watch.Stop()
		r := &taken{&body{ctx: context.Background(), from: slow{}, want: -1}, watch, time.Minute}
		for range 3 {
			if _, err := r.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			<-time.After(50 * time.Second)
		}
		synctest.Wait()
		if gaveUp.Load() {
			t.Error("given up because the sender was slow")
		}
		<-time.After(11 * time.Second)
		synctest.Wait()
		if !gaveUp.Load() {
			t.Error("a server that took nothing for a minute is still waited for")
		}
	})
}

type slow struct{}

func (slow) Read(p []byte) (int, error) {
	<-time.After(10 * time.Minute)
	return len(p), nil
}
