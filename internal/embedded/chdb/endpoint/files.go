package endpoint

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeFiles writes the engine's configuration into its folder and returns the
// path of it. Without one of its own the engine would take any config.xml that
// it finds in the working or the home folder.
func writeFiles(c Config) (configFile string, err error) {
	for _, name := range []string{"store", "tmp", "backups"} {
		if err := os.MkdirAll(filepath.Join(c.Folder, name), 0o700); err != nil {
			return "", fmt.Errorf("endpoint: make the engine's folders: %w", err)
		}
	}
	configFile = filepath.Join(c.Folder, "config.xml")
	users := filepath.Join(c.Folder, "users.xml")
	for path, text := range map[string]string{configFile: configXML(c, users), users: usersXML(c)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("endpoint: write the engine's configuration: %w", err)
		}
	}
	return configFile, nil
}

// configXML: inserts are on the disk before they are acknowledged; parts that a
// merge has replaced stay for 8 minutes, so that a power cut during the merge
// loses nothing (this build's own value is 0). Eight parts are merged at once and
// not two or three, so that a row is written again less often; and no merge makes
// statistics of each column, which no query of ours gains by: merges were half of
// what the engine did while events came in.
func configXML(c Config, users string) string {
	return fmt.Sprintf(`<clickhouse>
    <logger><level>none</level></logger>
    <timezone>UTC</timezone>
    <display_name>`+displayName+`</display_name>
    <tmp_path>%s</tmp_path>
    <user_directories><users_xml><path>%s</path></users_xml></user_directories>
    <max_server_memory_usage>%d</max_server_memory_usage>
    <mark_cache_size>268435456</mark_cache_size>
    <merge_tree>
        <fsync_after_insert>%d</fsync_after_insert>
        <fsync_part_directory>%[4]d</fsync_part_directory>
        <old_parts_lifetime>480</old_parts_lifetime>
        <min_parts_to_merge_at_once>8</min_parts_to_merge_at_once>
        <auto_statistics_types></auto_statistics_types>
    </merge_tree>
    <backups><allowed_path>%s</allowed_path></backups>
</clickhouse>
`, escape(filepath.Join(c.Folder, "tmp")+"/"), escape(users), c.MemoryBytes, number(!c.NoSync), escape(filepath.Join(c.Folder, "backups")+"/"))
}

// usersXML: no view is made anew just because the engine has started, for it may
// be there for one short question: who keeps views starts them. The one user has its rights from roles only, so that SET ROLE bi
// leaves nothing but the grants of bi.
func usersXML(c Config) string {
	var grants strings.Builder
	for _, view := range c.PublicViews {
		fmt.Fprintf(&grants, "            <query>GRANT SELECT, SHOW ON %s.%s</query>\n", escape(quoteName(c.Database)), escape(quoteName(view)))
	}
	return fmt.Sprintf(`<clickhouse>
    <profiles><default>
        <http_max_tries>1</http_max_tries>
        <http_connection_timeout>2</http_connection_timeout>
        <mutations_sync>0</mutations_sync>
        <stop_refreshable_materialized_views_on_startup>1</stop_refreshable_materialized_views_on_startup>
    </default></profiles>
    <quotas><default></default></quotas>
    <roles>
        <app><grants><query>GRANT ALL ON *.* WITH GRANT OPTION</query></grants></app>
        <bi><grants>
            <query>GRANT SHOW DATABASES ON %s.*</query>
%s        </grants></bi>
    </roles>
    <users><default>
        <password></password>
        <profile>default</profile>
        <quota>default</quota>
        <networks><ip>::/0</ip></networks>
        <grants><query>GRANT app, bi</query></grants>
    </default></users>
</clickhouse>
`, escape(quoteName(c.Database)), grants.String())
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes all
	return b.String()
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
