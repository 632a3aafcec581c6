package scenario

import (
	"testing"
	"testing/synctest"
	"time"
)

// However the second of a Date was cut and however long the answer took, the API's clock is never believed to be later
// than it is, and soon to within what an answer takes.
func TestClockNarrowsDown(t *testing.T) {
	for _, ahead := range []time.Duration{0, 400 * time.Millisecond, -400 * time.Millisecond, 3 * time.Hour, -3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var c clock
			api := func() time.Time { return time.Now().Add(ahead) }
			for i := range 40 {
				sent := time.Now()
				time.Sleep(50 * time.Millisecond)
				date := api().Truncate(time.Second)
				time.Sleep(50 * time.Millisecond)
				c.hear(date, sent)
				off := api().Sub(c.earliest())
				if off < 0 || off > 1200*time.Millisecond {
					t.Fatalf("after %d answers of a clock %s ahead, its earliest is %s behind it", i+1, ahead, off)
				}
				if i > 30 && off > 250*time.Millisecond {
					t.Errorf("after %d answers it is still %s behind", i+1, off)
				}
				time.Sleep(time.Duration(i*37) * time.Millisecond)
			}
			// The API's clock is set: what was learned before does not count any more.
			ahead -= time.Hour
			sent := time.Now()
			c.hear(api().Truncate(time.Second), sent)
			if off := api().Sub(c.earliest()); off < 0 || off > time.Second {
				t.Errorf("after it was set back an hour it is believed %s behind", off)
			}
		})
	}
}

func TestClockBeforeAnyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		if !c.earliest().Equal(time.Now()) || !c.now().Equal(time.Now()) {
			t.Errorf("unheard of, the API's clock reads %s and %s; here it is %s", c.earliest(), c.now(), time.Now())
		}
	})
}
