// Package archtest holds the house's plan as data: which folder may import
// which. Its test checks the plan on what `go list` says.
package archtest

// module is this module's path.
const module = "oneid/"

// mayImport says which of our packages a package may import besides itself
// and its own sub-folders: exact names, or a prefix ending in "/..." for a
// whole tree. The longest matching key is the rule of a package. Tests may
// import what they must start.
var mayImport = map[string][]string{
	"schemas/...":                {"schemas/..."},
	"identity":                   {},
	"identity/normalize":         {"identity"},
	"identity/match":             {"identity", "identity/normalize"},
	"identity/match/compare":     {},
	"identity/match/guess":       {"identity/match", "identity/match/compare"},
	"identity/match/receivers":   {"identity", "identity/match"},
	"identity/extract":           {"identity", "identity/normalize", "schemas/events"},
	"identity/engine":            {"identity"},
	"identity/evaluate":          {"identity"},
	"connectors":                 {"schemas/events"},
	"connectors/simulator":       {"schemas/events"},
	"connectors/conformance":     {"connectors", "connectors/simulator", "schemas/events", "internal/golden", "internal/httpclient"},
	"connectors/all":             {"connectors/...", "schemas/events", "internal/httpclient"},
	"connectors/...":             {"connectors", "schemas/events", "internal/httpclient", "internal/tablefile"},
	"internal/...":               {"schemas/..."},
	"internal/embedded/chdb/...": {"internal/embedded/chdb/..."},
	"internal/state":             {"identity/...", "schemas/..."},
	"internal/pubsub":            {"internal/kafka"},
	"internal/crashtest":         {"internal/fault"},
	"internal/customer/...":      {"schemas/...", "identity/..."},
	"internal/customer/profile":  {"schemas/...", "identity/...", "internal/clickhouse", "internal/state", "internal/keyring", "internal/customer/decided"},
	"internal/customer/insight":  {"identity", "internal/clickhouse", "internal/customer/decided"},
	"internal/customer/decided":  {"identity", "internal/clickhouse"},
	"internal/customer/past":     {"identity", "internal/clickhouse"},
	"internal/api":               {"internal/customer/...", "identity", "schemas/..."},
	"pipelines":                  {"connectors", "identity/...", "schemas/..."},
	// Tests alone import it, and it starts what they need.
	"pipelines/flowtest": {"..."},
	"pipelines/...": {
		"pipelines", "connectors", "identity/...", "schemas/...", "internal/customer/...", "internal/pubsub",
		"internal/kafka", "internal/clickhouse", "internal/state", "internal/httpclient", "internal/tablefile",
		"internal/keyring", "internal/notify", "internal/telemetry", "internal/fault",
	},
	"cmd/...": {"..."},
}

// onlyIn names the packages that may import an outside technology, so that
// changing it means changing one place. The longest matching key decides.
var onlyIn = map[string][]string{
	"github.com/segmentio/kafka-go":          {"internal/kafka"},
	"github.com/ClickHouse/clickhouse-go/v2": {"internal/clickhouse"},
	// The embedded engine answers in ClickHouse's own format of blocks, which
	// the driver's library encodes.
	"github.com/ClickHouse/clickhouse-go/v2/lib": {"internal/clickhouse", "internal/embedded/chdb/endpoint"},
	"github.com/ClickHouse/ch-go":                {"internal/clickhouse", "internal/embedded/chdb/endpoint"},
	"github.com/cockroachdb/pebble/v2":           {"internal/state"},
	"github.com/twmb/franz-go/pkg/kfake":         {"internal/embedded/broker"},
	"github.com/twmb/franz-go/pkg/kmsg":          {"internal/embedded/broker"},
	"github.com/ebitengine/purego":               {"internal/embedded/chdb"},
	"github.com/go-resty/resty/v2":               {"internal/httpclient", "connectors"},
	"github.com/hashicorp/go-retryablehttp":      {"internal/httpclient"},
	"github.com/coder/websocket":                 {"connectors"},
	"github.com/danielgtaylor/huma/v2":           {"internal/api"},
	"github.com/xuri/excelize/v2":                {"internal/tablefile"},
	"github.com/yeka/zip":                        {"internal/tablefile"},
	"github.com/robfig/cron/v3":                  {"pipelines/schedule"},
	"github.com/alecthomas/kong":                 {"cmd/oneid"},
	"github.com/ThreeDotsLabs/watermill":         {"internal/pubsub", "pipelines"},
	"github.com/prometheus/client_golang":        {"internal/telemetry", "internal/pubsub", "pipelines/deliver"},
	// The API's spans may be made wherever something takes time; who takes them
	// away is one place's business.
	"go.opentelemetry.io/otel":           {"internal/telemetry", "pipelines/resolve"},
	"go.opentelemetry.io/otel/sdk":       {"internal/telemetry"},
	"go.opentelemetry.io/otel/exporters": {"internal/telemetry"},
}

// pureFiles are the mapping files of connectors: no network, no files, no
// clock, so that a replay gives what the first reading gave.
var pureFilesForbid = []string{"net", "net/http", "os", "oneid/internal/httpclient"}
