package pull

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/schemas/events"
)

// partly is a platform that answers a method about one entity, the first that it is
// asked for, in part and for ever.
type partly struct {
	face         http.Handler
	path, number string

	mu  sync.Mutex
	bad string // the entity; guarded by mu
}

// RoundTrip implements http.RoundTripper.
func (p *partly) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	if r.URL.Path != p.path {
		p.face.ServeHTTP(answer, r)
		return answer.Result(), nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var asked map[string]any
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	number, _ := asked[p.number].(string)
	p.mu.Lock()
	if p.bad == "" {
		p.bad = number
	}
	bad := p.bad == number
	p.mu.Unlock()
	if bad {
		_, _ = io.WriteString(answer, `{"code":10001,"msg":"success","data":{}}`)
		return answer.Result(), nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.face.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// An entity that the platform answers in part for ever is a dead letter, by which it
// can be asked for anew; the others of its page go on, and so does the cursor.
func TestAnEntityThatIsAnsweredInPart(t *testing.T) {
	brokers := brokertest.Brokers(t)
	for path, number := range map[string]string{"/order/orderDetail": "shop_order_id", "/afterSale/Detail": "after_sale_id"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			r := newRigAt(t, brokers)
			world, err := simulator.New(simulator.Config{People: 200, Seed: 1, From: time.Now().Add(-10 * 24 * time.Hour), Until: time.Now().Add(-time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			platform := &partly{face: simulator.Douyin(world, simulator.DouyinOptions{}), path: path, number: number}
			e := simulator.EndpointsOf(world, "", "http://douyin.example", "").Douyin
			c, err := douyin.New(e.Shop, douyin.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, BackfillDays: 11, RequestsPerSecond: 1e6, Transport: platform})
			if err != nil {
				t.Fatal(err)
			}
			p := r.puller(t, c)
			p.Platform, p.Shop, p.Stream = "douyin", e.Shop, douyin.Aftersales
			sum, err := p.Once(t.Context())
			if want := world.Counts()["douyin"].Refunds; err != nil || want < 3 || sum.Records+sum.DeadLetters < want || sum.DeadLetters == 0 || sum.Records == 0 {
				t.Fatalf("%s: %+v of %d after-sales, %v", path, sum, want, err)
			}
			if p.Cursors.Get("douyin/"+e.Shop+"/"+douyin.Aftersales) == "" {
				t.Errorf("%s: the cursor stands still", path)
			}
			letters := r.values(t, r.topics.DeadLetter)
			for _, value := range letters {
				var letter events.DeadLetter
				if err := proto.Unmarshal(value, &letter); err != nil {
					t.Fatal(err)
				}
				raw, err := r.keys.Open(nil, letter.GetSealedRaw(), []byte("deadletter|"+letter.GetLetterId()))
				stream, id, named := events.PushOf(letter.GetOrigin())
				if err != nil || letter.GetReason() != events.ReasonRead || !named || stream != douyin.Aftersales || id == "" ||
					!strings.Contains(string(raw), platform.bad) || !strings.Contains(letter.GetDetail(), "10001") || strings.Contains(letter.GetDetail(), platform.bad) {
					t.Errorf("%s: a letter of %q: %s, %s (%v)", path, letter.GetOrigin(), letter.GetReason(), letter.GetDetail(), err)
				}
			}
			if slices.Contains([]string{"", "0"}, platform.bad) || len(letters) != sum.DeadLetters {
				t.Errorf("%s: %d letters, %d counted", path, len(letters), sum.DeadLetters)
			}
		})
	}
}
