package profile
import ("testing";"net/http";"strings";"io";"fmt")
func TestZZ(t *testing.T) {
	c, d := open(t)
	for _, q := range []string{
		"SELECT DISTINCT platform, shop, account, role FROM evidence_by_identifier WHERE hash = unhex('0102030405060708090a0b0c0d0e0f10') AND type = 'phone'",
		"SELECT DISTINCT platform, shop, account, role FROM evidence_by_identifier WHERE type = 'phone'",
		"SELECT platform, shop, account, role FROM evidence_by_identifier WHERE type = 'phone'",
		"SELECT account FROM evidence_by_identifier WHERE type = 'phone'",
		"SELECT platform FROM evidence_by_identifier WHERE type = 'phone'",
		"SELECT platform, account FROM identity_map FINAL WHERE account= 'x'",
	} {
		req, _ := http.NewRequest("POST", d.URL+"/?default_format=Native&client_protocol_version=54460&database="+d.Name, strings.NewReader(q))
		req.SetBasicAuth(d.User, d.Password)
		r, err := http.DefaultClient.Do(req)
		if err != nil { t.Fatal(err) }
		b, _ := io.ReadAll(r.Body)
		fmt.Printf("%s\n%d %q\n", q, r.StatusCode, b)
		var rows []struct{ Platform string `ch:"platform"`; Shop string `ch:"shop"`; Account string `ch:"account"`; Role string `ch:"role"` }
		fmt.Println(c.Select(t.Context(), "x", &rows, q))
	}
}
