package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// defaultAWS is the SDK's own default chain, with one link more: in a GitHub job that may have identity tokens
// (permissions: id-token: write), the role AWS_ROLE_ARN names is assumed with tokens asked for anew each time. The usual
// way, a step that leaves temporary keys in the environment, ends with those keys after an hour; a night lasts longer.
func defaultAWS(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return cfg, err
	}
	identity := githubIdentity{url: os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), token: os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")}
	role := os.Getenv("AWS_ROLE_ARN")
	if role == "" || identity.url == "" || identity.token == "" {
		return cfg, nil
	}
	for _, other := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"} {
		if os.Getenv(other) != "" {
			return cfg, nil // said more plainly
		}
	}
	asks := sts.NewFromConfig(cfg, func(o *sts.Options) {
		o.Region = cmp.Or(o.Region, "us-east-1") // the bucket is asked for its own
		o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })
	})
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(asks, role, identity, func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = os.Getenv("AWS_ROLE_SESSION_NAME")
	}))
	return cfg, nil
}

// githubIdentity asks the runner who this job is.
type githubIdentity struct{ url, token string }

const identityTime = 30 * time.Second

// An identityError says why there is no token.
type identityError string

func (e identityError) Error() string { return string(e) }

// GetIdentityToken returns a token that is good for some minutes. Its errors name neither address nor token.
func (g githubIdentity) GetIdentityToken() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), identityTime)
	defer cancel()
	address, err := url.Parse(g.url)
	if err != nil {
		return nil, identityError("ACTIONS_ID_TOKEN_REQUEST_URL is not an address")
	}
	query := address.Query()
	query.Set("audience", "sts.amazonaws.com")
	address.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, identityError("ACTIONS_ID_TOKEN_REQUEST_URL is not an address")
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, identityError("GitHub cannot be asked for an identity token: " + err.Error())
	}
	defer resp.Body.Close()
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); resp.StatusCode != http.StatusOK || err != nil || answer.Value == "" {
		return nil, identityError(fmt.Sprintf("GitHub gave no identity token (status %d)", resp.StatusCode))
	}
	return []byte(answer.Value), nil
}
