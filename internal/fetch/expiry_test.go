package fetch

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// policyURL is a link as the CDN signs it, ending at end.
func policyURL(end time.Time) string {
	policy := `{"Statement":[{"Resource":"https://cdn.cloud.scenario.com/assets/asset_X?p=100*","Condition":{"DateLessThan":{"AWS:EpochTime":` +
		strconv.FormatInt(end.Unix(), 10) + `}}}]}`
	encoded := strings.NewReplacer("+", "-", "=", "_", "/", "~").Replace(base64.StdEncoding.EncodeToString([]byte(policy)))
	return "https://cdn.cloud.scenario.com/assets/asset_X?p=100&Policy=" + encoded + "&Key-Pair-Id=KEXAMPLE&Signature=abc~def_"
}

func TestExpiry(t *testing.T) {
	end := time.Date(2026, 10, 14, 23, 59, 59, 0, time.UTC)
	epoch := strconv.FormatInt(end.Unix(), 10)
	for name, c := range map[string]struct {
		url   string
		want  time.Time
		known bool
	}{
		"cloudfront policy":   {policyURL(end), end, true},
		"expires":             {"https://h/a?Expires=" + epoch + "&Signature=x&Key-Pair-Id=K", end, true},
		"signature version 4": {"https://h/a?X-Amz-Date=20261014T235949Z&X-Amz-Expires=10&X-Amz-Signature=x", end, true},
		"the earliest counts": {policyURL(end.Add(time.Hour)) + "&Expires=" + epoch, end, true},
		"nothing said":        {"https://h/a?p=100", time.Time{}, false},
		"no query":            {"https://h/a", time.Time{}, false},
		"broken base64":       {"https://h/a?Policy=%25%25", time.Time{}, false},
		"policy of no JSON":   {"https://h/a?Policy=aGVsbG8_", time.Time{}, false},
		"policy of no date":   {"https://h/a?Policy=" + base64.URLEncoding.EncodeToString([]byte(`{"Statement":[{}]}`)), time.Time{}, false},
		"a date of no year":   {"https://h/a?Expires=9223372036854775807", time.Time{}, false},
		"negative":            {"https://h/a?Expires=-1", time.Time{}, false},
		"lifetime too long":   {"https://h/a?X-Amz-Date=20261014T235949Z&X-Amz-Expires=99999999999999", time.Time{}, false},
		"no URL":              {"::", time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, known := Expiry(c.url)
			if !got.Equal(c.want) || known != c.known {
				t.Errorf("Expiry = %v, %v; want %v, %v", got, known, c.want, c.known)
			}
		})
	}
}

func FuzzExpiry(f *testing.F) {
	f.Add(policyURL(time.Unix(1791000000, 0)))
	f.Add("https://h/a?X-Amz-Date=20261014T235949Z&X-Amz-Expires=10")
	f.Add("https://h/a?Expires=1791000000")
	f.Fuzz(func(t *testing.T, raw string) {
		end, known := Expiry(raw)
		if !known && !end.IsZero() {
			t.Errorf("a date without knowing one: %v", end)
		}
		if known && (end.Year() < 1 || end.Year() > 10100) {
			t.Errorf("no date anybody signs: %v", end)
		}
		if _, err := url.Parse(raw); err != nil && known {
			t.Error("an expiry read from what is no URL")
		}
	})
}
