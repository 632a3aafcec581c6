package scenario

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

func TestAssetsShareRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := against(t, &fakeAPI{latency: time.Second})
		var group sync.WaitGroup
		for i := range 90 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ids := []string{fmt.Sprint("asset_a", i), fmt.Sprint("asset_b", i), "asset_common", fmt.Sprint("asset_gone", i)}
				got, err := c.Assets(t.Context(), ids)
				if err != nil || len(got) != 3 || got[ids[0]].ID != ids[0] || got[ids[2]].URL == "" {
					t.Errorf("caller %d: %v, %v", i, got, err)
				}
			})
		}
		group.Wait()
		if n := c.Requests()["bulk"]; n != 2 { // 271 ids
			t.Errorf("%d requests", n)
		}
	})
}

func TestAssetsOfOneCallerMayFillSeveralRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := against(t, &fakeAPI{})
		var ids []string
		for i := range 450 {
			ids = append(ids, fmt.Sprint("asset_", i), fmt.Sprint("asset_", i))
		}
		got, err := c.Assets(t.Context(), ids)
		if err != nil || len(got) != 450 || c.Requests()["bulk"] != 3 {
			t.Errorf("%d assets in %v, %v", len(got), c.Requests(), err)
		}
		if got, err := c.Assets(t.Context(), nil); err != nil || len(got) != 0 || c.Requests()["bulk"] != 3 {
			t.Errorf("none asked for: %v, %v", got, err)
		}
	})
}

// While a batch waits for its turn, later callers still join it.
func TestAssetsJoinWhileWaitingForTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := against(t, &fakeAPI{perMinute: 1})
		submits(t, c, 1)
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				if got, err := c.Assets(t.Context(), []string{fmt.Sprint("asset_", i)}); err != nil || len(got) != 1 {
					t.Errorf("caller %d: %v, %v", i, got, err)
				}
			})
		}
		group.Wait()
		if n := c.Requests()["bulk"]; n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestAssetsCallersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := against(t, &fakeAPI{latency: 10 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			_, err := c.Assets(ctx, []string{"asset_1"})
			checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true})
		})
		group.Go(func() {
			if got, err := c.Assets(t.Context(), []string{"asset_1", "asset_2"}); err != nil || len(got) != 2 {
				t.Errorf("the one who stayed: %v, %v", got, err)
			}
		})
		group.Wait()
		if n := c.Requests()["bulk"]; n != 1 {
			t.Errorf("%d requests", n)
		}
		// When all have gone before it was sent, nothing is.
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		c.Assets(ctx, []string{"asset_3"})
		time.Sleep(time.Minute)
		if n := c.Requests()["bulk"]; n != 1 {
			t.Errorf("%d requests, the last for nobody", n)
		}
		if got, err := c.Assets(t.Context(), []string{"asset_3"}); err != nil || len(got) != 1 {
			t.Errorf("the next caller: %v, %v", got, err)
		}
	})
}

func TestAssetsErrorReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := against(t, &fakeAPI{fault: func(*http.Request) *http.Response {
			return reply(503, map[string]any{"message": "Service Unavailable"})
		}})
		var group sync.WaitGroup
		for i := range 5 {
			group.Go(func() {
				_, err := c.Assets(t.Context(), []string{fmt.Sprint("asset_", i)})
				checkError(t, err, pipeline.Error{Code: pipeline.CodeAPIUnavailable, Message: "assets: Service Unavailable (status 503)"})
			})
		}
		group.Wait()
		if n := c.Requests()["bulk"]; n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}
