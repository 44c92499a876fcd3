// Package all lists the connectors that OneID ships: one line a connector.
package all

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/sobot"
	"oneid/connectors/tmall"
	"oneid/connectors/weidian"
)

// New makes the connector of one shop from the shop's settings (a JSON object
// as in the connector's Spec().Settings, secrets filled in).
type New func(shop string, settings json.RawMessage) (connectors.Connector, error)

// ByPlatform is every connector that reads a platform, by its name.
var ByPlatform = map[string]New{
	"douyin":  with(douyin.New),
	"sobot":   with(sobot.New),
	"tmall":   with(tmall.New),
	"weidian": with(weidian.New),
}

// Exports are the files that the back-office of a platform exports.
var Exports = map[string]*connectors.Exports{
	"douyin":  &douyin.Exports,
	"tmall":   &tmall.Exports,
	"weidian": &weidian.Exports,
}

// with decodes the settings strictly before it calls a connector's own New.
func with[Config any, C connectors.Connector](open func(shop string, cfg Config) (C, error)) New {
	return func(shop string, settings json.RawMessage) (connectors.Connector, error) {
		var cfg Config
		if err := connectors.DecodeSettings(settings, &cfg); err != nil {
			return nil, err
		}
		return open(shop, cfg)
	}
}

// Platforms is the names in ByPlatform, sorted.
func Platforms() []string { return slices.Sorted(maps.Keys(ByPlatform)) }

// unknown is the error of a platform that has no connector, or was not named.
func unknown(platform string) error {
	if platform == "" {
		return fmt.Errorf("connectors: no platform is named; there are %q", Platforms())
	}
	return fmt.Errorf("connectors: no connector for platform %q; there are %q", platform, Platforms())
}

// Open makes the connector of a platform's shop. Its error names the platform
// and the shop.
func Open(platform, shop string, settings json.RawMessage) (connectors.Connector, error) {
	open, ok := ByPlatform[platform]
	if !ok {
		return nil, unknown(platform)
	}
	c, err := open(shop, settings)
	if err != nil {
		return nil, fmt.Errorf("%s: shop %s: %w", platform, shop, err)
	}
	return c, nil
}

// specs describes each connector without the settings of a shop.
var specs = map[string]func() connectors.Spec{
	"douyin":  new(douyin.Connector).Spec,
	"sobot":   new(sobot.Connector).Spec,
	"tmall":   new(tmall.Connector).Spec,
	"weidian": new(weidian.Connector).Spec,
}

// Spec describes a platform's connector.
func Spec(platform string) (connectors.Spec, error) {
	spec, ok := specs[platform]
	if !ok {
		return connectors.Spec{}, unknown(platform)
	}
	return spec(), nil
}
