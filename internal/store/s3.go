package store

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dailies/pipeline"
)

// A bucket is a destination in S3 or in what speaks its language. The version of an object is its ETag.
type bucket struct {
	client *s3.Client
	http   *http.Client // nil when the caller brought one of their own
	name   string
	prefix string // "" or "a/b/"
	where  string // region and endpoint, for messages

	patience time.Duration
	onePut   int64
	partSize int
	parts    chan []byte // one buffer, perhaps still nil, for each part that may be in memory
}

func openBucket(ctx context.Context, name, prefix string, o Options) (*bucket, error) {
	load := o.AWS
	if load == nil {
		load = defaultAWS
	}
	cfg, err := load(ctx)
	if err != nil {
		return nil, &pipeline.Error{Code: pipeline.CodeDestinationDenied, Message: "the AWS configuration cannot be used: " + firstLine(err), Err: err,
			Hint: "check AWS_PROFILE, ~/.aws/config and ~/.aws/credentials"}
	}
	if err := haveCredentials(ctx, cfg); err != nil {
		return nil, err
	}
	b := &bucket{name: name, patience: o.Patience, onePut: o.SinglePutLimit, partSize: o.PartSize, parts: make(chan []byte, o.PartBuffers)}
	if prefix != "" {
		b.prefix = prefix + "/"
	}
	for range o.PartBuffers {
		b.parts <- nil
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	if buildable, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // else it is the caller's own
		b.http = httpClient(buildable, o.Patience)
		cfg.HTTPClient = b.http
	}
	region := cfg.Region
	b.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		endpoint := aws.ToString(o.BaseEndpoint)
		o.UsePathStyle = endpoint != "" // servers other than Amazon's seldom have a host name for each bucket
		o.Region = cmp.Or(region, "us-east-1")
		o.RequestChecksumCalculation = cmp.Or(o.RequestChecksumCalculation, aws.RequestChecksumCalculationWhenSupported)
		o.ResponseChecksumValidation = cmp.Or(o.ResponseChecksumValidation, aws.ResponseChecksumValidationWhenSupported)
		o.DisableLogOutputChecksumValidationSkipped = true
		// The quota is client-wide: in a large failure it would stop all retries of a thousand items at once.
		o.Retryer = awsretry.NewStandard(func(r *awsretry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff, r.RateLimiter = 4, 5*time.Second, ratelimit.None
		})
		b.where = "region " + o.Region
		if endpoint != "" {
			b.where = "endpoint " + withoutSecrets(endpoint)
		}
	})
	if region == "" && b.client.Options().BaseEndpoint == nil {
		if region = b.homeRegion(ctx); region != "" {
			b.client = s3.New(b.client.Options(), func(o *s3.Options) { o.Region = region })
			b.where = "region " + region
		}
	}
	return b, nil
}

// httpClient is the SDK's, except that its connections last (ten idle ones are far too few for a large batch), that it
// can be closed, and that it does not wait for ever.
func httpClient(from *awshttp.BuildableClient, patience time.Duration) *http.Client {
	t := from.GetTransport()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
	t.ResponseHeaderTimeout = patience
	t.WriteBufferSize = 64 << 10
	return &http.Client{Transport: t, Timeout: from.GetTimeout(), CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a signature is good for one host only
	}}
}

// once switches the SDK's retries off: a stream cannot be rewound, and a conditional write cannot be repeated blindly.
func once(o *s3.Options) { o.Retryer = aws.NopRetryer{} }

// checksumBehind lets a stream go to a plain http:// endpoint as it goes over TLS: with its checksum behind it. The SDK
// would refuse, because it cannot sign what it has not read; but without a checksum a server cannot know a stream that
// was cut from one that ended, and some store what they have. So the SDK is told that it is TLS. For servers that do not
// know trailing checksums there is AWS_REQUEST_CHECKSUM_CALCULATION=when_required, here as over TLS.
func checksumBehind(o *s3.Options) {
	if host, plain := strings.CutPrefix(aws.ToString(o.BaseEndpoint), "http://"); plain {
		o.BaseEndpoint = aws.String("https://" + host)
		o.HTTPClient = plainly{o.HTTPClient}
	}
}

// plainly sends over HTTP what is addressed to HTTPS.
type plainly struct{ s3.HTTPClient }

func (p plainly) Do(r *http.Request) (*http.Response, error) {
	r = r.WithContext(r.Context())
	u := *r.URL
	u.Scheme = "http"
	r.URL = &u
	return p.HTTPClient.Do(r)
}

// homeRegion asks S3 where the bucket is, which it tells even those it refuses; "" when it does not.
func (b *bucket) homeRegion(ctx context.Context) string {
	out, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	if err != nil {
		return regionIn(err)
	}
	return aws.ToString(out.BucketRegion)
}

func (b *bucket) Close() error {
	if b.http != nil {
		b.http.CloseIdleConnections()
	}
	return nil
}

func (b *bucket) URI(key string) string { return "s3://" + b.name + "/" + b.prefix + key }

// object returns the whole key as S3 knows it.
func (b *bucket) object(key string) (*string, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	whole := b.prefix + key
	if len(whole) > 1024 {
		return nil, pipeline.Errorf(pipeline.CodeManifest, "key %q is %d bytes long; S3 takes 1,024", whole, len(whole))
	}
	return &whole, nil
}

func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(b.prefix + prefix)})
		for pages.HasMorePages() {
			page, err := nextPage(ctx, pages, 5*b.patience)
			if err != nil {
				yield(pipeline.Object{}, b.fail(ctx, "list", prefix, err))
				return
			}
			for _, o := range page.Contents {
				key := strings.TrimPrefix(aws.ToString(o.Key), b.prefix)
				if strings.HasSuffix(key, "/") || key == "" { // what consoles make to show a folder
					continue
				}
				if !yield(pipeline.Object{Key: key, Bytes: aws.ToInt64(o.Size), Version: unquote(o.ETag)}, nil) {
					return
				}
			}
		}
	}
}

func nextPage(ctx context.Context, pages *s3.ListObjectsV2Paginator, limit time.Duration) (*s3.ListObjectsV2Output, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return pages.NextPage(ctx)
}

// Move copies on the server, which S3 does for objects of up to 5 GiB, and then deletes.
func (b *bucket) Move(ctx context.Context, from, to string) error {
	source, err := b.object(from)
	if err != nil {
		return err
	}
	target, err := b.object(to)
	if err != nil || *source == *target {
		return err
	}
	_, err = b.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b.name, Key: target, CopySource: aws.String(copySource(b.name, *source))})
	if err != nil {
		return b.fail(ctx, "move", from, err)
	}
	return b.Remove(ctx, from)
}

// copySource is a path in a header: everything but the slashes is escaped.
func copySource(bucket, key string) string {
	return url.PathEscape(bucket) + "/" + strings.ReplaceAll(url.QueryEscape(key), "+", "%20")
}

func (b *bucket) Open(ctx context.Context, key string) (io.ReadCloser, pipeline.Object, error) {
	name, err := b.object(key)
	if err != nil {
		return nil, pipeline.Object{}, err
	}
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: name})
	if err != nil {
		return nil, pipeline.Object{}, b.fail(ctx, "read", key, err)
	}
	return out.Body, pipeline.Object{Key: key, Bytes: aws.ToInt64(out.ContentLength), Version: unquote(out.ETag)}, nil
}

func (b *bucket) Remove(ctx context.Context, key string) error {
	name, err := b.object(key)
	if err != nil {
		return err
	}
	if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: name}); err != nil && !absent(err) {
		return b.fail(ctx, "remove", key, err)
	}
	return nil
}

// Probe also finds out whether the bucket is there at all, and whether it is ours to list.
func (b *bucket) Probe(ctx context.Context) error {
	_, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(b.prefix), MaxKeys: aws.Int32(1)})
	if err != nil {
		return b.fail(ctx, "list", "", err)
	}
	return probe(ctx, b)
}

// stored returns the version of what was just written. A server that names none is not one.
func (b *bucket) stored(key string, etag *string) (string, error) {
	if v := unquote(etag); v != "" {
		return v, nil
	}
	return "", pipeline.Errorf(pipeline.CodeDestination, "write %s: something that is not S3 answers at this %s", b.URI(key), b.where)
}

// unquote makes an ETag readable; quote makes it one again.
func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
func quote(version string) string { return fmt.Sprintf("%q", version) }
