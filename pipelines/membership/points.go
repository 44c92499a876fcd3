package membership

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Constant is a source of points that knows one answer.
func Constant(standing Standing) Points {
	return func(context.Context, About) (Standing, error) { return standing, nil }
}

// DefaultSourceTimeout is how long the source of points may take.
const DefaultSourceTimeout = 300 * time.Millisecond

// SourceConfig is about the brand's own service that knows points and levels.
type SourceConfig struct {
	// URL takes a POST; it holds no password and no query.
	URL string
	// Secret signs it, as a webhook's.
	Secret string
	// Timeout of one question; default DefaultSourceTimeout.
	Timeout time.Duration
	// Transport carries the questions; nil is the network.
	Transport http.RoundTripper
}

// asked is the body of a question.
type asked struct {
	Platform   string `json:"platform"`
	Shop       string `json:"shop"`
	Account    string `json:"account"`
	CustomerID string `json:"customer_id,omitempty"`
	Phone      string `json:"phone,omitempty"`
}

// maxStanding bounds the answer of a source.
const maxStanding = 64 << 10

// Source asks the brand's own service. The question stands in the body alone:
// an address gets into logs.
func Source(c SourceConfig) (Points, error) {
	address, err := url.Parse(c.URL)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" || address.User != nil || address.RawQuery != "" {
		return nil, errors.New("the source of points must be an http(s) address, without password and query")
	}
	if len(c.Secret) < 16 {
		return nil, errors.New("the secret of the source of points must have at least 16 bytes")
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultSourceTimeout
	}
	transport := c.Transport
	if standard, ok := http.DefaultTransport.(*http.Transport); ok && transport == nil {
		// A connection for each call that is under way: to open one takes as long as
		// the platform waits for.
		kept := standard.Clone()
		kept.MaxIdleConnsPerHost, kept.MaxIdleConns = atOnce, atOnce
		transport = kept
	}
	client := &http.Client{Transport: transport, Timeout: c.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context, about About) (Standing, error) {
		var standing Standing
		body, err := json.Marshal(asked(about))
		if err != nil {
			return standing, fmt.Errorf("membership: ask for points: %w", err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
		if err != nil {
			return standing, fmt.Errorf("membership: ask for points: %w", err)
		}
		request.Header = signed(uuid.NewString(), time.Now(), body, c.Secret)
		response, err := client.Do(request)
		if err != nil {
			return standing, fmt.Errorf("membership: ask for points: %w", err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(response.Body, maxStanding))
		switch {
		case err != nil:
			return standing, fmt.Errorf("membership: read the points: %w", err)
		case response.StatusCode == http.StatusNotFound:
			return standing, nil // the source knows no such member: no points yet
		case response.StatusCode != http.StatusOK:
			return standing, fmt.Errorf("membership: the source of points answers %s", response.Status)
		}
		if standing, ok := standingOf(answer); ok {
			return standing, nil
		}
		return standing, errors.New("membership: the source of points answers with something else than {\"points\":…,\"level\":…,\"card_no\":…}")
	}, nil
}

// standingOf reads an answer. One without points, such as an error that came
// with status 200, must not be told to a member as no points at all.
func standingOf(answer []byte) (Standing, bool) {
	var said struct {
		Points *int64 `json:"points"`
		Level  string `json:"level"`
		Card   string `json:"card_no"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Points == nil || *said.Points < 0 {
		return Standing{}, false
	}
	return Standing{Points: *said.Points, Level: said.Level, Card: said.Card}, true
}

// signed are the headers of a question, in the words of Standard Webhooks 1.0.
func signed(id string, at time.Time, body []byte, secret string) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Webhook-Id": {id}, "Webhook-Timestamp": {stamp},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
}
