package simulator

import (
	"fmt"
	"strings"
	"time"
)

// douyinMaxTexts is how many texts one call may decrypt or index.
const douyinMaxTexts = 50

// The errors of the decrypting methods.
const (
	douyinDecryptRefused = 300003
	douyinDecryptPartly  = 300008
)

// opened is a ciphertext, the order that it belongs to, and what is in it.
type opened struct {
	authID, cipherText, plain string
	kind                      int // 0: it could not be opened
}

// openAll opens the texts of a request; a text of another order than auth_id
// says stays closed.
func (d *douyin) openAll(params douyinParams) ([]opened, *douyinFault) {
	infos := params.objects("cipher_infos")
	if len(infos) == 0 {
		return nil, &douyinFault{40002, "缺少业务参数", "isv.missing-parameter", "缺少cipher_infos"}
	}
	if len(infos) > douyinMaxTexts {
		return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "cipher_infos不能超过50个"}
	}
	var all []opened
	for _, info := range infos {
		one := opened{authID: info.text("auth_id"), cipherText: info.text("cipher_text")}
		o, ok := d.world.OrderByNumber(PlatformDouyin, one.authID)
		if !ok {
			o, ok = d.world.RefundByNumber(PlatformDouyin, one.authID)
		}
		if plain, kind, opens := d.cipher.open(one.cipherText); ok && opens {
			r := o.Receiver
			own := map[int]string{douyinPhone: r.Phone, douyinName: r.Name, douyinAddress: r.Address.Detail}
			if own[kind] == plain {
				one.plain, one.kind = plain, kind
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// batchDecrypt serves order.batchDecrypt.
func (d *douyin) batchDecrypt(params douyinParams) (any, *douyinFault) {
	all, fault := d.openAll(params)
	if fault != nil {
		return nil, fault
	}
	if !d.takeQuota(len(all)) {
		if d.opts.DecryptQuotaInside {
			return map[string]any{"decrypt_infos": []any{}, "custom_err": map[string]any{"err_code": douyinDecryptRefused, "err_msg": "解密额度不足"}}, nil
		}
		return nil, douyinBusiness(douyinDecryptRefused, "解密额度不足")
	}
	virtual := d.opts.VirtualPhones || params.bool("need_virtual_phone")
	infos, failed := []any{}, false
	for _, one := range all {
		info := map[string]any{"auth_id": one.authID, "cipher_text": one.cipherText, "decrypt_text": one.plain,
			"data_type": one.kind, "is_virtual_tel": false, "phone_no_a": "", "phone_no_b": "", "expire_time": 0,
			"err_no": 0, "err_msg": ""}
		switch {
		case one.kind == 0:
			failed = true
			info["err_no"], info["err_msg"] = douyinDecryptPartly, "密文或单号不合法"
		case one.kind == douyinPhone && virtual:
			host, extension := d.virtualPhone(one.authID)
			info["decrypt_text"], info["is_virtual_tel"] = host+"-"+extension, true
			info["phone_no_a"], info["phone_no_b"] = host, extension
			info["expire_time"] = d.opts.Now().Add(7 * 24 * time.Hour).Unix()
		}
		infos = append(infos, info)
	}
	return d.textsAnswer("decrypt_infos", infos, failed)
}

// textsAnswer is the answer of a batch of which a part may have failed.
func (d *douyin) textsAnswer(name string, infos []any, failed bool) (any, *douyinFault) {
	answer := map[string]any{name: infos, "custom_err": map[string]any{"err_code": 0, "err_msg": ""}}
	if !failed {
		return answer, nil
	}
	answer["custom_err"] = map[string]any{"err_code": douyinDecryptPartly, "err_msg": "部分数据解密失败"}
	return answer, douyinBusiness(douyinDecryptPartly, "部分数据解密失败")
}

// virtualPhone is a host number and an extension; it says nothing of the
// receiver.
func (d *douyin) virtualPhone(authID string) (host, extension string) {
	var sum int
	for _, r := range authID {
		sum = (sum*31 + int(r)) % 10_000
	}
	return "18400000000", fmt.Sprintf("%04d", sum)
}

// takeQuota counts n texts against the day's quota; false if they are too
// many.
func (d *douyin) takeQuota(n int) bool {
	if d.opts.DecryptQuota <= 0 {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if today := d.opts.Now().In(douyinZone).Format(time.DateOnly); d.decryptDay != today {
		d.decryptDay, d.decryptCount = today, 0
	}
	if d.decryptCount+n > d.opts.DecryptQuota {
		return false
	}
	d.decryptCount += n
	return true
}

// batchSensitive serves order.batchSensitive: masked texts, without quota.
func (d *douyin) batchSensitive(params douyinParams) (any, *douyinFault) {
	all, fault := d.openAll(params)
	if fault != nil {
		return nil, fault
	}
	infos, failed := []any{}, false
	for _, one := range all {
		info := map[string]any{"auth_id": one.authID, "cipher_text": one.cipherText, "data_type": one.kind, "err_no": 0, "err_msg": ""}
		switch one.kind {
		case douyinPhone:
			info["decrypt_text"] = maskMiddle(one.plain, 2, 2, 0)
		case douyinName:
			info["decrypt_text"] = maskDouyinName(one.plain)
		case douyinAddress:
			info["decrypt_text"] = maskDouyinAddress(one.plain)
		default:
			failed = true
			info["decrypt_text"], info["err_no"], info["err_msg"] = "", douyinDecryptPartly, "密文或单号不合法"
		}
		infos = append(infos, info)
	}
	return d.textsAnswer("decrypt_infos", infos, failed)
}

// searchIndex serves order.getSearchIndex. Its sensitive_type is taken to have
// the numbers of encrypt_type.
func (d *douyin) searchIndex(params douyinParams) (any, *douyinFault) {
	kind, ok := params.int("sensitive_type", 0)
	plain := strings.TrimSpace(params.text("plain_text"))
	if !ok || kind < douyinAddress || kind > douyinPhone || plain == "" {
		return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "sensitive_type或plain_text不合法"}
	}
	return map[string]any{"encrypt_index_text": d.cipher.index(int(kind), plain)}, nil
}

// batchSearchIndex serves order.BatchSearchIndex.
func (d *douyin) batchSearchIndex(params douyinParams) (any, *douyinFault) {
	list := params.objects("plain_text_list")
	if len(list) == 0 || len(list) > douyinMaxTexts {
		return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "plain_text_list须有1到50个"}
	}
	indexes := []any{}
	for _, one := range list {
		kind, ok := one.int("encrypt_type", 0)
		plain := strings.TrimSpace(one.text("plain_text"))
		if !ok || kind < douyinAddress || kind > douyinPhone || plain == "" {
			return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "encrypt_type或plain_text不合法"}
		}
		indexes = append(indexes, map[string]any{"plain": plain, "search_index": d.cipher.index(int(kind), plain)})
	}
	return map[string]any{"plain_to_encrypt_index_list": indexes, "custom_err": map[string]any{"err_code": 0, "err_msg": ""}}, nil
}
