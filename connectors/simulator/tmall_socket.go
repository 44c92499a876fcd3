package simulator

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5" // the platform's
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	// tmcPoll is how often a connection looks for news.
	tmcPoll = 20 * time.Millisecond
	// tmcSignIn is how long a client may take with its first frame.
	tmcSignIn = 10 * time.Second
	// tmcMost is how many messages a connection gets in one go.
	tmcMost = 100
	// tmcGroup is the shop's one group.
	tmcGroup = "default"
)

// isSocket says that a request wants the message service's long connection. On
// the platform that is a host of its own.
func isSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// socket is the message service's long connection: a client signs in with its
// first frame, and then gets what happened, some of it twice and in no order,
// until it confirms; what it does not comes again, to whoever is connected.
func (t *tmall) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // it ended
	conn.SetReadLimit(1 << 20)
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	signingIn, cancel := context.WithTimeout(ctx, tmcSignIn)
	_, raw, err := conn.Read(signingIn)
	cancel()
	if err != nil {
		return
	}
	first, err := readTmcFrame(raw)
	if err != nil {
		_ = conn.Close(websocket.StatusProtocolError, "not a frame") // the client has gone
		return
	}
	token, fault := t.signIn(first)
	if fault != nil {
		_ = conn.Write(ctx, websocket.MessageBinary, newTmcFrame(tmcConnectAck).refusal(uint32(fault.code), fault.msg).end()) //nolint:gosec // a small number; and as above
		_ = conn.Close(websocket.StatusPolicyViolation, "refused")
		return
	}
	if conn.Write(ctx, websocket.MessageBinary, newTmcFrame(tmcConnectAck).token(token).end()) != nil {
		return
	}
	pulled := make(chan struct{}, 1)
	go func() {
		defer stop()
		t.listenTmc(ctx, conn, token, pulled)
	}()
	t.tellTmc(ctx, conn, token, pulled)
}

// signIn checks a client's first frame, in the gateway's words: which status
// the service itself answers is not known.
func (t *tmall) signIn(f tmcFrame) (token string, fault *tmallFault) {
	field := func(name string) string {
		text, _ := f.fields[name].(string)
		return text
	}
	app, group, stamp := field("app_key"), field("group_name"), field("timestamp")
	secret := t.credentials.AppSecret
	sum := md5.Sum([]byte(secret + "app_key" + app + "group_name" + group + "timestamp" + stamp + secret)) // as above
	want := strings.ToUpper(hex.EncodeToString(sum[:]))
	sent, err := strconv.ParseInt(stamp, 10, 64)
	off := t.opts.Now().Sub(time.UnixMilli(sent)).Abs()
	switch {
	case f.kind != tmcConnect:
		return "", &tmallFault{code: 40, msg: "Missing connect"}
	case app != t.credentials.AppKey:
		return "", &tmallFault{code: 29, msg: "Invalid app Key"}
	case err != nil || off > 10*time.Minute:
		return "", &tmallFault{code: 31, msg: "Invalid Timestamp"}
	case subtle.ConstantTimeCompare([]byte(want), []byte(field("sign"))) != 1:
		return "", &tmallFault{code: 25, msg: "Invalid signature"}
	case group != tmcGroup:
		return "", &tmallFault{code: 41, msg: "Invalid group_name"}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connections++
	return "tmc" + strconv.Itoa(t.connections) + want[:8], nil
}

// listenTmc takes a client's frames until the connection ends, or the client
// sends what no client may.
func (t *tmall) listenTmc(ctx context.Context, conn *websocket.Conn, token string, pulled chan<- struct{}) {
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			return
		}
		f, err := readTmcFrame(raw)
		if err != nil || f.kind != tmcSend || f.token != token {
			_ = conn.Close(websocket.StatusPolicyViolation, "not a frame of this connection") // the client has gone
			return
		}
		switch f.fields["__kind"] {
		case int64(tmcPull):
			select {
			case pulled <- struct{}{}:
			default: // it is about to look
			}
		case int64(tmcConfirm):
			if id, ok := f.fields["id"].(int64); ok {
				t.mu.Lock()
				if _, came := t.delivered[id]; came {
					t.confirmed[id] = true
				}
				t.mu.Unlock()
			}
		case int64(tmcFail): // it comes again
		}
	}
}

// tellTmc sends what happened: when the client asks, and when it is new.
func (t *tmall) tellTmc(ctx context.Context, conn *websocket.Conn, token string, pulled <-chan struct{}) {
	look := time.NewTicker(tmcPoll)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pulled:
		case <-look.C:
		}
		messages := t.waiting(tmcMost)
		for i := range messages { // in no order
			j := int(mix(t.world.cfg.Seed^uint64(messages[i].id)) % uint64(len(messages))) //nolint:gosec // its bits; below the length
			messages[i], messages[j] = messages[j], messages[i]
		}
		for _, m := range messages {
			frame := t.tmcMessage(m, token)
			times := 1
			if mix(t.world.cfg.Seed+uint64(m.id))%4 == 0 { //nolint:gosec // its bits
				times = 2
			}
			for range times {
				if conn.Write(ctx, websocket.MessageBinary, frame) != nil {
					return
				}
			}
		}
	}
}

// tmcMessage is a message as the long connection gives it.
func (t *tmall) tmcMessage(m tmallMessage, token string) []byte {
	content, _ := m.row["content"].(string)
	user, _ := m.row["user_id"].(int64)
	topic, _ := m.row["topic"].(string)
	now := t.opts.Now()
	value := any(content)
	if t.opts.GzipMessages {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(content)) // memory takes everything
		_ = z.Close()
		value = b.Bytes()
	}
	return newTmcFrame(tmcSend).token(token).custom(
		tmcField{"__kind", byte(tmcData)}, tmcField{"id", m.id}, tmcField{"topic", topic}, tmcField{"content", value},
		tmcField{"publisher", "10000001"}, tmcField{"nick", t.world.Shop(PlatformTmall).Name}, tmcField{"userid", user},
		tmcField{"time", m.at}, tmcField{"outtime", now}, tmcField{"dataid", "sim" + strconv.FormatInt(m.id, 10)},
	).end()
}
