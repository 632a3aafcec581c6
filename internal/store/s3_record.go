package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dailies/internal/retry"
	"dailies/pipeline"
)

// recordRetries is for the SDK's place: it would repeat a conditional write whose first answer was lost, be refused by
// its own first success, and not know it.
var recordRetries = retry.Policy{Attempts: 4, Base: 200 * time.Millisecond, Max: 5 * time.Second}

func (b *bucket) ReadRecord(ctx context.Context, key string) ([]byte, string, error) {
	attempt, cancel := context.WithTimeout(ctx, 5*b.patience)
	defer cancel()
	body, o, err := b.Open(attempt, key)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, MaxRecord+1))
	if err != nil {
		return nil, "", b.fail(ctx, "read", key, err)
	}
	if len(data) > MaxRecord {
		return nil, "", tooLarge(b.URI(key))
	}
	return data, o.Version, nil
}

func (b *bucket) WriteRecord(ctx context.Context, key string, data []byte, version string) (string, error) {
	name, err := b.object(key)
	if err != nil {
		return "", err
	}
	if len(data) > MaxRecord {
		return "", tooLarge(b.URI(key))
	}
	in := s3.PutObjectInput{Bucket: &b.name, Key: name, ContentType: aws.String("application/json"), ContentLength: aws.Int64(int64(len(data)))}
	if version == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = aws.String(quote(version))
	}
	var written string
	err = retry.Do(ctx, recordRetries, func(int) error {
		in.Body = bytes.NewReader(data)
		out, err := b.client.PutObject(ctx, &in, once)
		if err == nil {
			written, err = b.stored(key, out.ETag)
			return err
		}
		if !lostRace(err) {
			return b.fail(ctx, "write", key, err)
		}
		written, err = b.ours(ctx, key, data)
		return err
	}, func(err error) retry.Verdict {
		e := pipeline.AsError(err)
		return retry.Verdict{Again: e.Code.Traits().Retry && !errors.Is(err, pipeline.ErrConflict), After: e.RetryAfter}
	})
	return written, err
}

// ours returns the version of the record if it holds these very bytes, which means that an earlier attempt got through
// although its answer did not.
func (b *bucket) ours(ctx context.Context, key string, data []byte) (string, error) {
	there, version, err := b.ReadRecord(ctx, key)
	if err == nil && bytes.Equal(there, data) {
		return version, nil
	}
	if err != nil && pipeline.CodeOf(err) == pipeline.CodeDestinationDenied {
		return "", err
	}
	return "", fmt.Errorf("%s: %w", b.URI(key), pipeline.ErrConflict)
}
