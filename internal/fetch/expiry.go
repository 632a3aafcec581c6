package fetch

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// expiryMargin is how long before its end a URL is replaced: a request that leaves now must arrive in time, from a
// clock that may be somewhat off.
const expiryMargin = 30 * time.Second

// Expiry reads from a signed URL when it ends: from a CloudFront policy (Policy=, [SEEN]), from Expires= (CloudFront's
// canned policy, S3 signature version 2), or from X-Amz-Date with X-Amz-Expires (S3 signature version 4). Where
// several are there the earliest counts. It is false when the URL does not tell.
func Expiry(rawURL string) (time.Time, bool) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return time.Time{}, false
	}
	var (
		end   time.Time
		known bool
	)
	earliest := func(t time.Time, ok bool) {
		if ok && (!known || t.Before(end)) {
			end, known = t, true
		}
	}
	q := u.Query()
	earliest(policyEnd(q.Get("Policy")))
	if seconds, err := strconv.ParseInt(q.Get("Expires"), 10, 64); err == nil {
		earliest(epoch(seconds))
	}
	earliest(signedEnd(q.Get("X-Amz-Date"), q.Get("X-Amz-Expires")))
	return end, known
}

// cloudFront's base64 has other letters where a URL would have to escape [SEEN].
var cloudFront = strings.NewReplacer("-", "+", "_", "=", "~", "/")

func policyEnd(encoded string) (time.Time, bool) {
	if encoded == "" {
		return time.Time{}, false
	}
	text, err := base64.StdEncoding.DecodeString(cloudFront.Replace(encoded))
	if err != nil {
		return time.Time{}, false
	}
	var policy struct {
		Statement []struct {
			Condition struct {
				DateLessThan struct {
					Epoch int64 `json:"AWS:EpochTime"`
				}
			}
		}
	}
	if json.Unmarshal(text, &policy) != nil || len(policy.Statement) == 0 {
		return time.Time{}, false
	}
	return epoch(policy.Statement[0].Condition.DateLessThan.Epoch) // CloudFront takes one statement, no more
}

func signedEnd(date, lifetime string) (time.Time, bool) {
	signed, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(lifetime, 10, 32)
	if err != nil || seconds < 0 {
		return time.Time{}, false
	}
	return signed.Add(time.Duration(seconds) * time.Second), true
}

// epoch refuses what is no date anybody signs: zero, and years beyond 9999.
func epoch(seconds int64) (time.Time, bool) {
	if seconds <= 0 || seconds > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0).UTC(), true
}
