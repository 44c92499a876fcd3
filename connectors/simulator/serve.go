package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Endpoints says where the faces answer and how a client signs in.
type Endpoints struct {
	Tmall   TmallEndpoint   `json:"tmall"`
	Douyin  DouyinEndpoint  `json:"douyin"`
	Weidian WeidianEndpoint `json:"weidian"`
	// Sobot is the help-desk's; Serve alone fills it in.
	Sobot SobotEndpoint `json:"sobot,omitzero"`
	From  time.Time     `json:"from"`
	Until time.Time     `json:"until"`
}

// TmallEndpoint is Tmall's part; URL is the full address of /router/rest.
type TmallEndpoint struct {
	URL       string `json:"url"`
	AppKey    string `json:"app_key"`
	AppSecret string `json:"app_secret"`
	Session   string `json:"session"`
	// RefreshToken renews the session where the faults let it end; else empty.
	RefreshToken string `json:"refresh_token,omitempty"`
	Shop         string `json:"shop"`
}

// DouyinEndpoint is Douyin's part; URL is the gateway's root.
type DouyinEndpoint struct {
	URL       string `json:"url"`
	AppKey    string `json:"app_key"`
	AppSecret string `json:"app_secret"`
	Shop      string `json:"shop"`
}

// WeidianEndpoint is Weidian's part; URL is the gateway's root.
type WeidianEndpoint struct {
	URL         string `json:"url"`
	AppKey      string `json:"app_key"`
	AppSecret   string `json:"app_secret"`
	AccessToken string `json:"access_token"`
	Shop        string `json:"shop"`
}

// SobotEndpoint is the help-desk's part; URL is its root. With CompanyID and
// PushSecret it signs its own calls.
type SobotEndpoint struct {
	URL        string `json:"url"`
	AppID      string `json:"app_id"`
	AppKey     string `json:"app_key"`
	CompanyID  string `json:"company_id"`
	PushSecret string `json:"push_secret"`
}

// Listen names the addresses of the faces; an empty one is 127.0.0.1:0.
type Listen struct {
	Tmall, Douyin, Weidian, Sobot string
}

// Serve starts all faces, calls ready with where they answer, and stops
// them when ctx ends. It returns nil then.
//
// Beside its platform's own addresses each face answers
// GET /_simulator/members-PLATFORM-SHOP.csv (the brand's member list),
// GET /_simulator/counts (what a complete reader finds, as JSON), and
// POST /_simulator/change with {"platform","shop","order"} (shop and order may
// be left out), which moves an order on and answers its number, status and
// modified. POST /_simulator/spi with {"platform","url","seed","members","encrypted",
// "repeats"} lets a platform call the brand's server about its members (see
// CallMembers) and answers the MemberReport.
func Serve(ctx context.Context, cfg Config, listen Listen, ready func(*World, Endpoints)) error {
	world, err := New(cfg)
	if err != nil {
		return err
	}
	faces := []struct {
		address string
		handler http.Handler
	}{
		{listen.Tmall, Tmall(world, TmallOptions{Faults: cfg.Faults, Kinds: true, RefreshStays: cfg.Faults.Rate > 0})},
		{listen.Douyin, Douyin(world, DouyinOptions{Faults: cfg.Faults})},
		{listen.Weidian, Weidian(world, WeidianOptions{Faults: cfg.Faults, GroupBuys: true})},
		{listen.Sobot, Sobot(world, SobotOptions{Faults: cfg.Faults})},
	}
	var servers []*http.Server
	var urls []string
	ended := make(chan error, len(faces))
	stop := func() error {
		var failed error
		for _, server := range servers {
			failed = errors.Join(failed, server.Close())
		}
		for range servers {
			if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
				failed = errors.Join(failed, err)
			}
		}
		return failed
	}
	for _, face := range faces {
		if face.address == "" {
			face.address = "127.0.0.1:0"
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", face.address)
		if err != nil {
			return errors.Join(fmt.Errorf("simulator: listening on %s: %w: choose another address", face.address, err), stop())
		}
		server := &http.Server{Handler: WithControl(world, face.handler), ReadHeaderTimeout: 10 * time.Second}
		servers, urls = append(servers, server), append(urls, "http://"+listener.Addr().String())
		go func() { ended <- server.Serve(listener) }()
	}
	endpoints, keys := EndpointsOf(world, urls[0], urls[1], urls[2]), SobotCredentialsOf(world)
	endpoints.Sobot = SobotEndpoint{urls[3], keys.AppID, keys.AppKey, keys.CompanyID, keys.PushSecret}
	ready(world, endpoints)
	select {
	case <-ctx.Done():
		return stop()
	case err := <-ended:
		ended <- err
		return fmt.Errorf("simulator: serving: %w", stop())
	}
}

// EndpointsOf are the endpoints of faces at these roots, without a final slash.
func EndpointsOf(w *World, tmallURL, douyinURL, weidianURL string) Endpoints {
	t, d, v := TmallCredentialsOf(w), douyinCredentials(w), weidianCredentials(w)
	if w.cfg.Faults.Rate == 0 {
		t.RefreshToken = ""
	}
	return Endpoints{
		Tmall:   TmallEndpoint{tmallURL + "/router/rest", t.AppKey, t.AppSecret, t.Session, t.RefreshToken, t.Shop},
		Douyin:  DouyinEndpoint{douyinURL, d.AppKey, d.AppSecret, w.Shop(PlatformDouyin).ID},
		Weidian: WeidianEndpoint{weidianURL, v.AppKey, v.AppSecret, v.AccessToken, w.Shop(PlatformWeidian).ID},
		From:    w.cfg.From, Until: w.cfg.Until,
	}
}

// WithControl answers /_simulator/ and leaves the rest to a face.
func WithControl(w *World, face http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", face)
	mux.HandleFunc("POST /_simulator/change", func(rw http.ResponseWriter, r *http.Request) {
		var ask struct{ Platform, Shop, Order string }
		if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<16)).Decode(&ask); err != nil {
			http.Error(rw, "the body is not JSON of platform, shop and order", http.StatusBadRequest)
			return
		}
		if ask.Shop != "" && ask.Shop != w.Shop(ask.Platform).ID {
			http.Error(rw, "there is no such shop", http.StatusNotFound)
			return
		}
		o, err := w.Change(ask.Platform, ask.Order, time.Now())
		if err != nil {
			http.Error(rw, ErrNoOrder.Error(), http.StatusNotFound)
			return
		}
		answerJSON(rw, map[string]any{"platform": o.Platform, "shop": o.Shop, "order": o.Number, "status": o.Status, "modified": o.Modified})
	})
	mux.HandleFunc("POST /_simulator/spi", func(rw http.ResponseWriter, r *http.Request) {
		ask := MemberCalls{Repeats: 1}
		if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<16)).Decode(&ask); err != nil {
			http.Error(rw, "the body is not JSON of platform, url, seed, members and repeats", http.StatusBadRequest)
			return
		}
		report, err := w.CallMembers(r.Context(), ask)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		answerJSON(rw, report)
	})
	mux.HandleFunc("GET /_simulator/counts", func(rw http.ResponseWriter, _ *http.Request) { answerJSON(rw, w.Counts()) })
	mux.HandleFunc("GET /_simulator/{file}", func(rw http.ResponseWriter, r *http.Request) {
		for _, platform := range Platforms {
			if r.PathValue("file") == "members-"+platform+"-"+w.Shop(platform).ID+".csv" {
				rw.Header().Set("Content-Type", "text/csv; charset=utf-8")
				_ = w.WriteMembers(rw, platform) // the client has gone: nobody is left to tell
				return
			}
		}
		http.NotFound(rw, r)
	})
	return mux
}

func answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // as above
}

// Save writes what a folder's world is made of to DIR/simulator.json.
func (c Config) Save(dir string) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("simulator: writing its configuration: %w", err)
	}
	path := filepath.Join(dir, "simulator.json")
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("simulator: writing its configuration: %w", err)
	}
	return os.Rename(path+".new", path)
}

// Load reads DIR/simulator.json; the error is fs.ErrNotExist in a folder
// without one.
func Load(dir string) (Config, error) {
	text, err := os.ReadFile(filepath.Join(dir, "simulator.json"))
	if err != nil {
		return Config{}, fmt.Errorf("simulator: reading its configuration: %w", err)
	}
	var c Config
	if err := json.Unmarshal(text, &c); err != nil {
		return Config{}, fmt.Errorf("simulator: reading %s/simulator.json: %w", dir, err)
	}
	return c, nil
}
