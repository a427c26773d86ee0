package expression

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"
)

const textsOrBytes = texts | 1<<KindBytes

// codeFunctions make codes of values: digests, identifiers, other notations.
var codeFunctions = map[string]function{
	"sha256":     {use: "sha256(text)", params: []kindSet{textsOrBytes}, least: 1, gives: KindString, run: sha256Hex},
	"crc32":      {use: "crc32(text)", params: []kindSet{textsOrBytes}, least: 1, gives: KindString, run: crc32Hex},
	"uuid5":      {use: "uuid5(namespace, text)", params: []kindSet{texts, texts}, least: 2, gives: KindString, run: uuid5},
	"toBase64":   {use: "toBase64(text)", params: []kindSet{textsOrBytes}, least: 1, gives: KindString, run: toBase64},
	"fromBase64": {use: "fromBase64(text)", params: []kindSet{texts}, least: 1, gives: KindBytes, run: fromBase64},
	"json":       {use: "json(value)", params: []kindSet{anything}, least: 1, gives: KindString, run: jsonText},
}

func raw(v any) []byte {
	if b, ok := v.([]byte); ok {
		return b
	}
	return []byte(str(v))
}

func sha256Hex(r *run, args []any) (any, error) {
	data := raw(args[0])
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), r.take(len(data))
}

func crc32Hex(r *run, args []any) (any, error) {
	data := raw(args[0])
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE(data)), r.take(len(data))
}

// uuid5 is the UUID of version 5 (RFC 9562) of a text in a namespace. A namespace
// that is not a UUID stands for the UUID of its text in the namespace of object identifiers (OID).
func uuid5(_ *run, args []any) (any, error) {
	space, err := uuid.Parse(str(args[0]))
	if err != nil || len(str(args[0])) != 36 {
		space = uuid.NewSHA1(uuid.NameSpaceOID, []byte(str(args[0])))
	}
	return uuid.NewSHA1(space, []byte(str(args[1]))).String(), nil
}

func toBase64(r *run, args []any) (any, error) {
	data := raw(args[0])
	if err := r.take(2 * len(data)); err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString(data), nil
}

func fromBase64(r *run, args []any) (any, error) {
	if err := r.take(len(str(args[0]))); err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(str(args[0]))
	if err != nil {
		return nil, fmt.Errorf("%q is not base64", clip(str(args[0])))
	}
	return data, nil
}

func jsonText(r *run, args []any) (any, error) {
	b, err := AppendJSON(nil, args[0])
	if err != nil {
		return nil, err
	}
	return made(r, string(b))
}
