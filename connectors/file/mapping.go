package file

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"oneid/connectors"
	"oneid/internal/tablefile"
)

// The kinds of files, which are also the names of their streams.
const (
	KindOrders  = "orders"
	KindUsers   = "users"
	KindTickets = "tickets"
	KindSpend   = "spend"
)

// MappingSchema is the JSON Schema of a mapping file.
//
//go:embed mapping.schema.json
var MappingSchema []byte

//go:embed sample.yaml
var sample string

// Mapping says what the columns of a file mean. README.md and sample.yaml
// explain the keys.
type Mapping struct {
	Platform   string `yaml:"platform"`
	Shop       string `yaml:"shop"`
	Kind       string `yaml:"kind"`
	Encoding   string `yaml:"encoding"`
	Delimiter  string `yaml:"delimiter"`
	Timezone   string `yaml:"timezone"`
	Currency   string `yaml:"currency"`
	ExportedAt string `yaml:"exported_at"`
	// Brand is the scope of unionid and omid; empty is right while all of the
	// brand's apps belong to one account of the platform.
	Brand   string           `yaml:"brand"`
	OrderID OrderID          `yaml:"order_id"`
	Columns map[string]Field `yaml:"columns"`

	zone       *time.Location
	exportedAt time.Time
}

// OrderID says how an order of a file without order numbers gets one.
type OrderID struct {
	// Row names the columns that make a purchase what it is.
	Row []string `yaml:"row"`
}

// Field says where a field's value comes from: a column, or a constant.
type Field struct {
	Column string `yaml:"column"`
	// Format of a time: YYYY MM DD HH mm ss as in the file, or unix, unix_ms.
	Format string `yaml:"format"`
	// Values translates the file's words.
	Values map[string]string `yaml:"values"`
	Const  string            `yaml:"const"`

	layout string
}

// UnmarshalYAML takes a column's name alone, too.
func (f *Field) UnmarshalYAML(unmarshal func(any) error) error {
	var name string
	if unmarshal(&name) == nil {
		*f = Field{Column: name}
		return nil
	}
	type plain Field
	return unmarshal((*plain)(f))
}

// MappingError is a fault of a mapping file, with its place.
type MappingError struct {
	File         string
	Line, Column int // from 1; 0 when the fault has no place
	Message      string
}

func (e *MappingError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Code names the kind of error for programs.
func (e *MappingError) Code() string { return "file.mapping" }

// Hint says what to do.
func (e *MappingError) Hint() string { return "mend the mapping file" }

// ParseMapping reads a mapping file strictly; name is for its errors. shop,
// written PLATFORM/SHOP, and kind replace what the file says where they are
// not empty.
func ParseMapping(name string, data []byte, shop, kind string) (mapping *Mapping, err error) {
	defer func() {
		// The YAML library panics on some text that is no YAML.
		if recover() != nil {
			mapping, err = nil, &MappingError{File: name, Message: "this is no YAML that can be read"}
		}
	}()
	var m Mapping
	if err := yaml.UnmarshalWithOptions(data, &m, yaml.Strict()); err != nil {
		var located yaml.Error
		if errors.As(err, &located) && located.GetToken() != nil {
			at := located.GetToken().Position
			return nil, &MappingError{name, at.Line, at.Column, located.GetMessage()}
		}
		return nil, &MappingError{File: name, Message: err.Error()}
	}
	if kind != "" {
		m.Kind = kind
	}
	if err := m.forShop(shop); err != nil {
		return nil, err
	}
	var faults []error
	for _, f := range m.validate() {
		line, column := f.place(data)
		faults = append(faults, &MappingError{name, line, column, f.message})
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return &m, nil
}

// fault is what is wrong with a mapping, and the path of the key that has it.
type fault struct {
	path    []string
	message string
}

func (f fault) Error() string { return f.message }

func joined(faults []fault) error {
	all := make([]error, len(faults))
	for i, f := range faults {
		all[i] = f
	}
	return errors.Join(all...)
}

// place is where the fault's key stands, or the nearest key above it that is
// there; 0, 0 where there is none.
func (f fault) place(data []byte) (line, column int) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil || len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return 0, 0
	}
	for n := len(f.path); n > 0; n-- {
		path := new(yaml.PathBuilder).Root()
		for _, key := range f.path[:n] {
			path = path.Child(key)
		}
		if node, err := path.Build().FilterNode(file.Docs[0].Body); err == nil && node != nil && node.GetToken() != nil {
			at := node.GetToken().Position
			return at.Line, at.Column
		}
	}
	return 0, 0
}

func (m *Mapping) forShop(shop string) error {
	if shop == "" {
		return nil
	}
	platform, name, ok := strings.Cut(shop, "/")
	if !ok || platform == "" || name == "" || strings.Contains(name, "/") {
		return errors.New("file: the shop must be written PLATFORM/SHOP, such as tmall/my-flagship")
	}
	m.Platform, m.Shop = platform, name
	return nil
}

// DefaultMapping is the mapping of a file whose first line has OneID's own
// names of fields: each column that is a field of the kind is that field, the
// others are kept in the raw payload only.
func DefaultMapping(shop, kind string, header []string) (*Mapping, error) {
	m := &Mapping{Kind: kind, Columns: make(map[string]Field)}
	if err := m.forShop(shop); err != nil {
		return nil, err
	}
	known := fieldsOf[kind]
	for _, column := range header {
		if _, ok := known[column]; ok {
			m.Columns[column] = Field{Column: column}
		}
	}
	if faults := m.validate(); len(faults) > 0 {
		return nil, fmt.Errorf("file: without a mapping the first line must have OneID's own names (%s): %w",
			strings.Join(slices.Sorted(maps.Keys(known)), ", "), joined(faults))
	}
	return m, nil
}

// validate fills in the defaults and names every fault.
func (m *Mapping) validate() (faults []fault) {
	wrong := func(key, format string, args ...any) {
		faults = append(faults, fault{[]string{key}, fmt.Sprintf(format, args...)})
	}
	if m.Platform == "" {
		m.Platform = Platform
	}
	if m.Kind == "" {
		m.Kind = KindOrders
	}
	if m.Currency == "" {
		m.Currency = "CNY"
	}
	if m.Timezone == "" {
		m.Timezone = "Asia/Shanghai"
	}
	if m.Delimiter == "" {
		m.Delimiter = ","
	}
	if !platformPattern.MatchString(m.Platform) {
		// tmall and TMALL would be two platforms, and a buyer two accounts.
		wrong("platform", "platform must be of small letters, digits, '_' and '-', such as tmall")
	}
	if m.Shop == "" {
		wrong("shop", "shop is missing: give a name that stands in every account")
	} else if err := connectors.CheckShop(m.Shop); err != nil {
		wrong("shop", "%v", err)
	}
	if len(m.Currency) != 3 || strings.ToUpper(m.Currency) != m.Currency {
		wrong("currency", "currency must be a code such as CNY or USD")
	}
	zone, err := time.LoadLocation(m.Timezone)
	if err != nil {
		wrong("timezone", "timezone must be an IANA name such as Asia/Shanghai")
	}
	m.zone = zone
	if utf8.RuneCountInString(m.Delimiter) != 1 || strings.ContainsAny(m.Delimiter, "\"\r\n") {
		wrong("delimiter", `delimiter must be one character, such as "," or ";" or "\t"`)
	}
	switch strings.ToLower(m.Encoding) {
	case "", "auto", "utf-8", "utf8", "gbk", "gb18030":
	default:
		wrong("encoding", "encoding must be auto, utf-8, gbk or gb18030")
	}
	if m.ExportedAt != "" && zone != nil {
		if m.exportedAt, err = parseTime(m.ExportedAt, "", zone); err != nil {
			wrong("exported_at", "exported_at must be a time such as 2026-01-31 18:00:00")
		}
	}
	return append(faults, m.validateColumns()...)
}

func (m *Mapping) validateColumns() (faults []fault) {
	wrong := func(key, name, format string, args ...any) {
		faults = append(faults, fault{[]string{key, name}, fmt.Sprintf(format, args...)})
	}
	known, ok := fieldsOf[m.Kind]
	if !ok {
		wrong("kind", "", "kind must be orders, users, tickets or spend")
		return faults
	}
	for _, name := range slices.Sorted(maps.Keys(m.Columns)) {
		f := m.Columns[name]
		kind, ok := known[name]
		switch {
		case !ok:
			wrong("columns", name, "columns: %s has no field %q; there are %s", m.Kind, name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case (f.Column == "") == (f.Const == ""):
			wrong("columns", name, "columns: %s needs either a column or a const", name)
		case f.Format != "" && kind != timeField:
			wrong("columns", name, "columns: %s is not a time and takes no format", name)
		}
		layout, err := layoutOf(f.Format)
		if err != nil {
			wrong("columns", name, "columns: %s: %v", name, err)
		}
		f.layout = layout
		m.Columns[name] = f
	}
	for _, name := range required[m.Kind] {
		if _, ok := m.Columns[name]; !ok && (name != "order_id" || len(m.OrderID.Row) == 0) {
			wrong("columns", "", "columns: %s needs the field %s", m.Kind, name)
		}
	}
	if len(m.OrderID.Row) > 0 {
		if m.Kind != KindOrders {
			wrong("order_id", "", "order_id is for orders only")
		}
		if _, ok := m.Columns["order_id"]; ok {
			wrong("order_id", "row", "order_id.row is for files without order numbers: leave either it or columns.order_id out")
		}
	}
	return faults
}

var platformPattern = regexp.MustCompile(`^[a-z0-9_-]+$`)

// columnNames is every column of the file that the mapping uses.
func (m *Mapping) columnNames() []string {
	names := slices.Clone(m.OrderID.Row)
	for _, f := range m.Columns {
		if f.Column != "" {
			names = append(names, f.Column)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (m *Mapping) options() tablefile.Options {
	delimiter, _ := utf8.DecodeRuneInString(m.Delimiter)
	columns := m.columnNames()
	// Titles may stand before the line that names the columns.
	o := tablefile.Options{Delimiter: delimiter, IsHeader: func(fields []string) bool {
		return !slices.ContainsFunc(columns, func(column string) bool {
			return !slices.ContainsFunc(fields, func(field string) bool { return strings.TrimSpace(field) == column })
		})
	}}
	switch strings.ToLower(m.Encoding) {
	case "utf-8", "utf8":
		o.Encoding = tablefile.UTF8
	case "gbk", "gb18030":
		o.Encoding = tablefile.GB18030
	}
	return o
}
