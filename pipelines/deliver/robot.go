package deliver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// The formats of webhooks of alerts, besides OneID's own: robots of group
// chats, which take a text for people.
const (
	WeCom    = "wecom"
	DingTalk = "dingtalk"
	Feishu   = "feishu"
)

// Formats are those of robots.
var Formats = []string{WeCom, DingTalk, Feishu}

// robotsPerSecond stays below what each of the platforms allows one robot: 15
// a minute. Whoever sends more is blocked for minutes.
const robotsPerSecond = 0.25

// maxText bounds a text, in bytes: WeCom takes 2048.
const maxText = 2000

// robot is the robot of a group chat. Its address holds the key to it: it is a
// secret as a whole.
type robot struct {
	format string
	query  url.Values
	// secret signs, where the robot asks for that; empty otherwise.
	secret string
}

// newRobot reads a robot's address; base is what stands before its query.
func newRobot(format, address, secret string) (r *robot, base string, err error) {
	switch format {
	case WeCom, DingTalk, Feishu:
	default:
		return nil, "", fmt.Errorf("its format must be %s, %s or %s", WeCom, DingTalk, Feishu)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, "", errors.New("its address is not of the form https://host/path: copy it from the robot's page") // the address is not repeated
	}
	if format == WeCom && secret != "" {
		return nil, "", errors.New("WeCom's robots know no secret: take secret_file away")
	}
	r = &robot{format: format, query: u.Query(), secret: secret}
	u.RawQuery, u.Fragment = "", ""
	return r, u.String(), nil
}

// request is a text's, signed now.
func (r *robot) request(text string, now time.Time) (httpclient.Request, error) {
	query := make(url.Values)
	for name, values := range r.query {
		query[name] = values
	}
	body := map[string]any{"msgtype": "text", "text": map[string]any{"content": text}}
	switch r.format {
	case DingTalk:
		if r.secret != "" {
			stamp := strconv.FormatInt(now.UnixMilli(), 10)
			query.Set("timestamp", stamp)
			query.Set("sign", signDingTalk(stamp, r.secret))
		}
	case Feishu:
		// A name of a file, or a platform's word, must call nobody.
		text = strings.ReplaceAll(text, "<at", "＜at")
		body = map[string]any{"msg_type": "text", "content": map[string]any{"text": text}}
		if r.secret != "" {
			stamp := strconv.FormatInt(now.Unix(), 10)
			body["timestamp"], body["sign"] = stamp, signFeishu(stamp, r.secret)
		}
	}
	data, err := json.Marshal(body)
	return httpclient.Request{Body: data, Query: query}, err
}

func mac(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// signDingTalk signs for the query, which escapes it; stamp is in milliseconds.
func signDingTalk(stamp, secret string) string { return mac(secret, stamp+"\n"+secret) }

// signFeishu signs for the body; stamp is in seconds. Key and text are the
// other way round than one expects.
func signFeishu(stamp, secret string) string { return mac(stamp+"\n"+secret, "") }

// refusal is what a robot's code means.
type refusal struct {
	says string
	// wait is how long to be quiet; 0 for what no waiting cures.
	wait time.Duration
}

// refusals are the codes whose meaning is known. The others count as final.
var refusals = map[string]map[int]refusal{
	WeCom: {
		40058: {says: "the text is too long, or a parameter is wrong"},
		45009: {says: "too many messages", wait: time.Minute},
		93000: {says: "there is no such robot: copy its address anew"},
	},
	DingTalk: {
		310000: {says: "the signature, the clock, the keyword or the address of this machine is not what the robot asks for"},
		300001: {says: "there is no such robot: copy its address anew"},
		40035:  {says: "a parameter is wrong"},
		90030:  {says: "too many messages", wait: 10 * time.Minute},
	},
	Feishu: {
		9499:  {says: "the request is wrong"},
		19021: {says: "the signature or the clock is wrong"},
		19022: {says: "this machine's address is not on the robot's list"},
		19024: {says: "the robot's keyword is not in the text: make it OneID"},
		11232: {says: "too many messages, as at full hours", wait: time.Minute},
	},
}

// check reads what a robot answered: it refuses with HTTP 200, too. What it
// says beside the code is not repeated.
func (r *robot) check(c *httpclient.Client, response httpclient.Response) error {
	if err := c.StatusError(response); err != nil {
		return err
	}
	var answer struct {
		ErrCode    *int `json:"errcode"`
		Code       *int `json:"code"`
		StatusCode *int `json:"StatusCode"`
	}
	if err := json.Unmarshal(response.Body, &answer); err != nil {
		return c.Undecodable(response, "what a robot answers")
	}
	code := answer.ErrCode
	if r.format == Feishu {
		if code = answer.Code; code == nil {
			code = answer.StatusCode
		}
	}
	if code == nil {
		return c.Undecodable(response, "what a robot answers")
	}
	if *code == 0 {
		return nil
	}
	known, ok := refusals[r.format][*code]
	if !ok {
		known.says = "a code that is not known here"
	}
	e := &httpclient.Error{Host: c.Host(), Status: response.Status, Reason: fmt.Sprintf("the robot refuses with code %d: %s", *code, known.says)}
	if known.wait > 0 {
		// As a webhook would say it: then it is waited for.
		e.Status, e.Again, e.Wait = 429, true, known.wait
	}
	return e
}

var digits = regexp.MustCompile(`[0-9]+`)

// withoutPhones hides what looks like a mobile number: no alert should hold one,
// and none may reach a group chat.
func withoutPhones(text string) string {
	return digits.ReplaceAllStringFunc(text, func(run string) string {
		number := strings.TrimPrefix(strings.TrimPrefix(run, "00"), "86")
		if len(number) == 11 && number[0] == '1' && number[1] >= '3' {
			return "…"
		}
		return run
	})
}

// sign begins what is said: of what is wrong, or is well again.
func sign(wrong bool) string {
	if wrong {
		return "❗"
	}
	return "✅"
}

// text says an alert to people.
func (r *robot) text(brand string, a *events.Alert) string {
	cleared := a.GetState() == events.AlertState_ALERT_STATE_CLEARED
	text := fmt.Sprintf("%s OneID %s: %s %s", sign(!cleared), brand, a.GetKind(), a.GetSubject())
	if cleared {
		text += "\nis well again"
	}
	if a.GetDetail() != "" {
		text += "\n" + withoutPhones(a.GetDetail())
	}
	return cut(text+"\n"+time.UnixMilli(a.GetChangedMs()).UTC().Format(time.RFC3339), maxText)
}

// cut shortens a text to at most so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const end = "…"
	return events.Cut(text, most-len(end)) + end
}
