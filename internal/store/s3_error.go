package store

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"dailies/pipeline"
)

const (
	bucketHint      = "check its name, and that AWS_REGION and AWS_ENDPOINT_URL_S3 are those of the bucket; dailies does not create buckets"
	rightsHint      = "these credentials need s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket on it"
	keyHint         = "check AWS_ACCESS_KEY_ID or AWS_PROFILE, and that they belong to this endpoint"
	sessionHint     = "sign in again (aws sso login), or renew AWS_SESSION_TOKEN"
	fullHint        = "free space or choose another --output"
	credentialsHint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or sign in (aws sso login); or choose a folder with --output"
)

// refusals says what S3's error codes mean where trying again does not help, and what does.
var refusals = map[string]struct{ what, hint string }{
	"NoSuchBucket":                       {"there is no such bucket", bucketHint},
	"InvalidBucketName":                  {"this cannot be a bucket's name", "check output: in the manifest, or --output"},
	"AccessDenied":                       {"access denied", rightsHint},
	"Forbidden":                          {"access denied", rightsHint},
	"AllAccessDisabled":                  {"the bucket's owner has disabled all access", ""},
	"AccountProblem":                     {"AWS has a problem with the account", "see the AWS console"},
	"InvalidAccessKeyId":                 {"the access key is unknown", keyHint},
	"InvalidClientTokenId":               {"the access key is unknown", keyHint},
	"XAdminUserNotFound":                 {"the access key is unknown", keyHint}, // versitygw's
	"SignatureDoesNotMatch":              {"the secret key is wrong", "check AWS_SECRET_ACCESS_KEY or AWS_PROFILE"},
	"ExpiredToken":                       {"the AWS session has expired", sessionHint},
	"ExpiredTokenException":              {"the AWS session has expired", sessionHint},
	"InvalidToken":                       {"the AWS session token is not valid", sessionHint},
	"TokenRefreshRequired":               {"the AWS session has expired", sessionHint},
	"RequestTimeTooSkewed":               {"this machine's clock is wrong", "set the clock: S3 takes signatures within 15 minutes"},
	"NotImplemented":                     {"the server lacks a part of S3 that is needed", "it must answer If-None-Match and If-Match as S3 does"},
	"KMS.DisabledException":              {"the bucket's encryption key is disabled", "see the AWS console"},
	"KMS.NotFoundException":              {"the bucket's encryption key is gone", "see the AWS console"},
	"InvalidObjectState":                 {"the object is in an archive storage class", "restore it, or choose another output"},
	"QuotaExceeded":                      {"the bucket's quota is used up", fullHint},
	"XMinioStorageFull":                  {"the server's disk is full", fullHint},
	"EntityTooLarge":                     {"the server refuses objects of this size", "choose another output"},
	"PermanentRedirect":                  {"the bucket is in another region", ""},
	"TemporaryRedirect":                  {"the bucket is in another region", ""},
	"MovedPermanently":                   {"the bucket is in another region", ""},
	"IllegalLocationConstraintException": {"the bucket is in another region", ""},
	"AuthorizationHeaderMalformed":       {"the bucket is in another region", ""},
}

// fail says what an error of the SDK means. The SDK's own text is not shown where it could hold a signed address.
func (b *bucket) fail(ctx context.Context, op, key string, err error) error {
	if e, ok := errors.AsType[*pipeline.Error](err); ok {
		return e
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if key != "" && absent(err) {
		return notExist(b.URI(key))
	}
	if what, hint, ok := b.refusal(err); ok {
		e := &pipeline.Error{Code: pipeline.CodeDestinationDenied, Message: fmt.Sprintf("bucket %q (%s): %s", b.name, b.where, what), Hint: hint, Err: err}
		if code := codeOf(err); code == "QuotaExceeded" || code == "XMinioStorageFull" {
			e.Code = pipeline.CodeDiskFull
		}
		return e
	}
	e := pipeline.Errorf(pipeline.CodeDestination, "%s %s: %s", op, b.URI(key), inWords(err))
	e.Err, e.RetryAfter = err, retryAfter(err)
	return e
}

func (b *bucket) refusal(err error) (what, hint string, ok bool) {
	code := codeOf(err)
	if r, ok := refusals[code]; ok {
		if region := regionIn(err); strings.HasSuffix(r.what, "in another region") {
			r.hint = "set AWS_REGION to the bucket's own region"
			if region != "" {
				r.what, r.hint = "the bucket is in "+region, "set AWS_REGION="+region
			}
		}
		return r.what, r.hint, true
	}
	if _, isCert := errors.AsType[x509.UnknownAuthorityError](err); isCert {
		return "the server's certificate is signed by an unknown authority", "set AWS_CA_BUNDLE to the authority's certificate", true
	}
	if _, isCert := errors.AsType[x509.HostnameError](err); isCert {
		return "the server's certificate is for another host", "check AWS_ENDPOINT_URL_S3", true
	}
	switch status(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "access denied" + inBrackets(code), rightsHint, true
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		return b.refusal(&smithy.GenericAPIError{Code: "PermanentRedirect"})
	}
	if strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "failed to refresh cached credentials") {
		return "the AWS credentials could not be renewed", credentialsHint, true
	}
	return "", "", false
}

// haveCredentials fails early where the SDK would fail at the first request, and in its words.
func haveCredentials(ctx context.Context, cfg aws.Config) error {
	var err error = errors.New("none are configured")
	if cfg.Credentials != nil {
		_, err = cfg.Credentials.Retrieve(ctx)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if r, ok := refusals[codeOf(err)]; ok {
		return &pipeline.Error{Code: pipeline.CodeDestinationDenied, Message: "the AWS credentials were refused: " + r.what, Hint: r.hint, Err: err}
	}
	if e, ok := errors.AsType[identityError](err); ok {
		return &pipeline.Error{Code: pipeline.CodeDestinationDenied, Message: "no AWS credentials: " + e.Error(), Err: err,
			Hint: "the job needs permissions: id-token: write, and AWS_ROLE_ARN a role that trusts this repository"}
	}
	return &pipeline.Error{Code: pipeline.CodeDestinationDenied, Message: "no AWS credentials were found", Hint: credentialsHint, Err: err}
}

// absent reports that the object is not there, on the word of S3 itself: a 404 can come from anything on the way, and
// to take it for an absent record would be to buy again.
func absent(err error) bool { return codeOf(err) == "NoSuchKey" }

// lostRace reports that a conditional write met another version than it was to replace. A record that was to be
// replaced and is gone is answered with 404; two writers at the very same time, with 409.
func lostRace(err error) bool {
	s := status(err)
	return s == http.StatusPreconditionFailed || s == http.StatusConflict || absent(err)
}

func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func response(err error) *http.Response {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.Response != nil {
		return e.Response.Response
	}
	return nil
}

func status(err error) int {
	if r := response(err); r != nil {
		return r.StatusCode
	}
	return 0
}

func regionIn(err error) string {
	if r := response(err); r != nil {
		return r.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}

func retryAfter(err error) time.Duration {
	if r := response(err); r != nil {
		if s, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && s > 0 {
			return time.Duration(min(s, 3600)) * time.Second
		}
	}
	return 0
}

// inWords is the end of an error's chain, where what happened is told without the address it happened at.
func inWords(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return strings.TrimSpace(fmt.Sprintf("%s (%s, status %d)", firstLine(errors.New(e.ErrorMessage())), e.ErrorCode(), status(err)))
	}
	if s := status(err); s != 0 {
		return fmt.Sprintf("the server answered with status %d", s)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return firstLine(e.Err)
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return firstLine(err)
}

func inBrackets(code string) string {
	if code == "" {
		return ""
	}
	return " (" + code + ")"
}

// firstLine keeps a text that others wrote short and on one line.
func firstLine(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	if r := []rune(line); len(r) > 200 {
		line = string(r[:200]) + "…"
	}
	return line
}

// withoutSecrets is an endpoint without user and query.
func withoutSecrets(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "set by AWS_ENDPOINT_URL_S3"
	}
	return u.Scheme + "://" + u.Host
}
