package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/pipelines/tokens"
	"oneid/schemas/events"
)

// connectCmd gets a shop's token by its owner's consent.
type connectCmd struct {
	Platform string `arg:"" help:"tmall, douyin or weidian." enum:"tmall,douyin,weidian"`
	Shop     string `help:"The shop, as under shops in oneid.yaml; not needed where the platform has one alone." placeholder:"NAME"`
	Another  bool   `name:"another-seller" help:"The shop in oneid.yaml is another one at the platform from now on: take the consent although the token that is kept is of another seller."`
	Code     string `help:"The one-time code, from the address that the browser came to; else it is waited for." placeholder:"CODE"`
}

// Help shows below the usage.
func (connectCmd) Help() string {
	return "Prints the address at which the shop's owner lets the app read the shop, takes the code that the platform gives then, and keeps the shop's token sealed in the data folder (beside the cursors where kafka.brokers are configured). Running processes take it at once; a shop that stood still for a dead token goes on. Tokens that can be renewed are renewed from then on.\n\n" +
		"Where redirect_uri of the shop's settings is an address of this machine (http://127.0.0.1:PORT/…), the browser's return is waited for there; otherwise paste the code, or the whole address that the browser came to. An app that needs no consent (Douyin's and Weidian's own apps) gets its token at once.\n\n" +
		"  oneid connect tmall --shop my-flagship"
}

// exchangePatience bounds the exchange of the code.
const exchangePatience = time.Minute

// Run connects a shop.
func (c connectCmd) Run(ctx context.Context, f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	s, err := c.shop(f, settings)
	if err != nil {
		return err
	}
	authoriser, ok := s.connector.(connectors.Authoriser)
	if !ok {
		return fmt.Errorf("%s gives no tokens", s.platform)
	}
	return f.withTokens(ctx, settings, func(keeping tokens.Keeping) error {
		authoriser.UseTokens(keeping.Of(s.platform, s.name))
		others := c.holders(ctx, settings, keeping, s)
		code, err := c.code(ctx, authoriser)
		if err != nil {
			return err
		}
		exchanging, cancel := context.WithTimeout(ctx, exchangePatience)
		defer cancel()
		token, err := authoriser.Authorise(exchanging, code, func(newest, given connectors.Token) error { return c.accept(s, others, newest, given) })
		var refused hinted
		if errors.As(err, &refused) {
			return refused // by accept
		}
		if err != nil {
			return hinted{fmt.Errorf("get the token of %s/%s: %w", s.platform, s.name, err), "a code is taken once and for a few minutes: run the command again and let the shop's owner consent anew; app_key, app_secret and redirect_uri must be those of the app's page"}
		}
		tellToken(os.Stdout, s, authoriser, token)
		return nil
	})
}

// shop is the one that is meant.
func (c connectCmd) shop(f folder, settings Settings) (shop, error) {
	shops, err := f.shops(settings)
	var of []shop
	for _, s := range shops {
		if s.platform == c.Platform && (c.Shop == "" || s.name == c.Shop) {
			of = append(of, s)
		}
	}
	switch {
	case len(of) == 1:
		return of[0], nil // what is wrong with other shops is no matter
	case err != nil:
		return shop{}, err
	case len(of) == 0:
		return shop{}, hinted{fmt.Errorf("oneid.yaml has no shop %s of %s", c.Shop, c.Platform), "name it under shops in " + f.path(settingsFile) + " with app_key and app_secret_file, then run this again"}
	}
	return shop{}, hinted{fmt.Errorf("oneid.yaml has %d shops of %s", len(of), c.Platform), "say which with --shop NAME"}
}

// holders are the names of the platform's other shops by the seller whose token
// each has.
func (c connectCmd) holders(ctx context.Context, settings Settings, keeping tokens.Keeping, of shop) map[string]string {
	holders := make(map[string]string)
	for _, s := range settings.Shops {
		if s.Platform != of.platform || s.Shop == of.name {
			continue
		}
		if token, err := keeping.Of(s.Platform, s.Shop).Load(ctx); err == nil && token.Holder != "" { // one that cannot be opened tells of nobody
			holders[token.Holder] = s.Shop
		}
	}
	return holders
}

// accept refuses the consent of a seller who is not the shop's: its orders would
// be read under the shop's name, and nothing tells them apart then. others are
// the platform's other shops by their sellers.
func (c connectCmd) accept(s shop, others map[string]string, newest, given connectors.Token) error {
	what := fmt.Sprintf("%s/%s: the consent is of another shop: of seller %s", s.platform, s.name, given.Holder)
	again := "nothing was kept. Log out at the platform, run the command again and let the shop's own main account consent"
	switch other, ok := others[given.Holder]; {
	case given.Holder == "" || c.Another:
		return nil
	case ok:
		return hinted{fmt.Errorf("%s, which is the shop %s", what, other), again + "; for that shop give --shop " + other}
	case newest.Holder != "" && newest.Holder != given.Holder:
		return hinted{fmt.Errorf("%s; until now the token was of seller %s", what, newest.Holder), again + ". Another seller's shop is a shop of its own in oneid.yaml; if it is this one's from now on, give --another-seller"}
	}
	return nil
}

// code is the code of the owner's consent; "" where none is needed.
func (c connectCmd) code(ctx context.Context, authoriser connectors.Authoriser) (string, error) {
	state := rand.Text()
	consent := authoriser.Consent(state)
	if consent.Address == "" || c.Code != "" {
		return c.Code, nil
	}
	back, err := listenBack(ctx, consent.Redirect, state)
	if err != nil {
		return "", err
	}
	fmt.Printf("Let the shop's owner open this address, log in and consent:\n\n  %s\n\n", consent.Address)
	if back != nil {
		defer back.close()
		fmt.Printf("The browser's return is waited for at %s; or paste the code here.\n", consent.Redirect)
	} else {
		fmt.Println("Then paste the code here, or the whole address that the browser came to.")
	}
	if consent.CodeLasts > 0 {
		fmt.Printf("The code is taken for %.0f minutes. ", consent.CodeLasts.Minutes())
	}
	fmt.Print("Code: ")
	pasted := make(chan taken, 1)
	go func() { pasted <- readCode(os.Stdin, state) }() // ends with the process
	var returned <-chan taken
	if back != nil {
		returned = back.codes
	}
	for {
		select {
		case t := <-pasted:
			if errors.Is(t.err, io.EOF) && back != nil {
				pasted = nil // nobody types: the browser's return is left
				continue
			}
			return t.code, t.err
		case t := <-returned:
			fmt.Println("(came from the browser)")
			return t.code, t.err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// taken is a code, or why there is none.
type taken struct {
	code string
	err  error
}

// readCode reads one line: a code, or an address that holds one.
func readCode(in io.Reader, state string) taken {
	line, err := bufio.NewReader(io.LimitReader(in, 16<<10)).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		if err == nil {
			err = errors.New("no code was pasted")
		}
		return taken{err: hinted{fmt.Errorf("read the code: %w", err), "give it with --code CODE, or paste it when it is asked for"}}
	}
	// A refusal's address holds no code, and is none itself.
	if !strings.Contains(line, "code=") && !strings.Contains(line, "://") {
		return taken{code: line}
	}
	address, err := url.Parse(line)
	if err != nil {
		return taken{err: errors.New("what was pasted is neither a code nor an address")} // and is not repeated: it holds the code
	}
	return codeOf(address.Query(), state)
}

var errState = hinted{errors.New("the address is not of this consent: its state is another"), "open the address that was printed last, and paste where the browser came to from there"}

// codeOf is the code in the query of the address that a browser came back to.
func codeOf(query url.Values, state string) taken {
	switch {
	case query.Get("state") != state:
		return taken{err: errState}
	case query.Get("code") == "":
		return taken{err: hinted{errors.New("the platform sent no code: the consent was refused"), "the shop's owner must log in with the main account, and consent"}}
	}
	return taken{code: query.Get("code")}
}

// loopback waits for a browser to come back.
type loopback struct {
	server *http.Server
	codes  chan taken
	ended  chan struct{}
}

// listenBack listens at a redirect address of this machine; nil for any other.
func listenBack(ctx context.Context, redirect, state string) (*loopback, error) {
	at, err := url.Parse(redirect)
	if err != nil || at.Scheme != "http" || at.Port() == "" {
		return nil, nil
	}
	if ip := net.ParseIP(at.Hostname()); at.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at.Host)
	if err != nil {
		return nil, hinted{fmt.Errorf("wait for the browser at %s: %w", at.Host, err), "another program has that port: end it, or name another redirect_uri here and in the app's page"}
	}
	l := &loopback{codes: make(chan taken, 1), ended: make(chan struct{})}
	path := "/" + strings.TrimPrefix(at.EscapedPath(), "/")
	l.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Referrer-Policy", "no-referrer") // the code stands in the address
		if r.Method != http.MethodGet || r.URL.EscapedPath() != path {
			http.NotFound(w, r)
			return
		}
		t := codeOf(r.URL.Query(), state)
		if errors.Is(t.err, errState) {
			http.Error(w, "This consent was not begun here. Open the address that oneid printed.", http.StatusBadRequest)
			return // somebody else's: the right one is waited for
		}
		select {
		case l.codes <- t:
			fmt.Fprintln(w, "OneID has the answer. Go back to the terminal; this page may be closed.")
		default:
			http.Error(w, "There was an answer already.", http.StatusConflict)
		}
	})}
	go func() {
		defer close(l.ended)
		_ = l.server.Serve(listener) // until close
	}()
	return l, nil
}

// close lets the page's answer out and ends.
func (l *loopback) close() {
	ending, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = l.server.Shutdown(ending) // who reads no further is left
	<-l.ended
}

// tellToken says what a token is of, what it may do and when it ends.
func tellToken(out io.Writer, s shop, authoriser connectors.Authoriser, token connectors.Token) {
	fmt.Fprintf(out, "%s/%s is connected; the token is kept, sealed.\n", s.platform, s.name)
	said := func(value string) string {
		if value == "" {
			return "the platform does not say"
		}
		return value
	}
	holder := token.HolderName
	if token.Holder != "" {
		holder = strings.TrimSpace(holder + " (" + token.Holder + ")")
	}
	fmt.Fprintf(out, "  shop:   %s\n", said(holder))
	fmt.Fprintf(out, "  rights: %s\n", said(token.RightsText()))
	ends := ""
	if !token.Expires.IsZero() {
		ends = token.Expires.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(out, "  ends:   %s\n", said(ends))
	switch end, needed := tokenEnd(authoriser, token); {
	case needed:
		fmt.Fprintf(out, "  next:   a new consent before %s; `oneid doctor` reminds of it\n", end.UTC().Format(time.RFC3339))
	case token.Refresh != "" || authoriser.Consent("").Address == "":
		fmt.Fprintln(out, "  next:   it is renewed by itself")
	}
}

// topicsOf are the brand's topics.
func topicsOf(s Settings) events.Topics { return events.TopicsOf(s.Brand) }
