package sftpd

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What a new hash costs: the first choice of OWASP's Password Storage Cheat Sheet. Two at a time stay below 40 MiB.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSalt    = 16
	hashLength  = 32
)

// What the hash of a configuration may cost, so that a login cannot take all memory.
const (
	mostMemory  = 64 << 10 // KiB
	mostTime    = 10
	mostThreads = 4
)

// MostPassword is the longest password, in bytes: more is a burden, not a secret.
const MostPassword = 256

// LeastPassword is the shortest password that HashPassword takes.
const LeastPassword = 12

// A phc is an argon2id hash in parts.
type phc struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

// HashPassword makes the text of a password's hash for the configuration, in the form of the PHC.
func HashPassword(password []byte, random io.Reader) (string, error) {
	switch {
	case len(password) < LeastPassword:
		return "", fmt.Errorf("the password has %d characters: %d are the least", len(password), LeastPassword)
	case len(password) > MostPassword:
		return "", fmt.Errorf("the password has %d bytes: %d are the most", len(password), MostPassword)
	}
	h := phc{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, hashSalt), sum: make([]byte, hashLength)}
	if _, err := io.ReadFull(random, h.salt); err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	h.sum = h.of(password)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		enc.EncodeToString(h.salt), enc.EncodeToString(h.sum)), nil
}

// parseHash reads such a text. Its errors do not show it.
func parseHash(text string) (h phc, err error) {
	const remedy = "make one with waybill partner password"
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, errors.New("not an argon2id hash: " + remedy)
	}
	if parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errors.New("not version 19 of argon2id: " + remedy)
	}
	_, err = fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads)
	if err != nil || parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.threads) {
		return h, errors.New("its parameters cannot be read: " + remedy)
	}
	enc := base64.RawStdEncoding.Strict()
	if h.salt, err = enc.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, errors.New("its salt cannot be read: " + remedy)
	}
	if h.sum, err = enc.DecodeString(parts[5]); err != nil || len(h.sum) < 16 || len(h.sum) > 64 {
		return h, errors.New("its sum cannot be read: " + remedy)
	}
	if h.memory < 8<<10 || h.memory > mostMemory || h.time < 1 || h.time > mostTime || h.threads < 1 || h.threads > mostThreads {
		return h, fmt.Errorf("it costs m=%d, t=%d, p=%d: memory from 8192 to %d, time from 1 to %d and parallelism from 1 to %d are taken; %s",
			h.memory, h.time, h.threads, mostMemory, mostTime, mostThreads, remedy)
	}
	return h, nil
}

func (h phc) of(password []byte) []byte {
	return argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
}

// passwordsAtOnce and passwordsWaiting bound what checking passwords may take.
const (
	passwordsAtOnce  = 2
	passwordsWaiting = 100
)

// errBusy says that too many passwords wait to be checked.
var errBusy = errors.New("too many passwords wait to be checked")

// passwords checks them, a few at a time, and counts.
type passwords struct {
	working chan struct{}
	waiting chan struct{}
	work    func(h phc, password []byte) []byte // phc.of, counted by tests
}

func newPasswords() *passwords {
	return &passwords{working: make(chan struct{}, passwordsAtOnce), waiting: make(chan struct{}, passwordsAtOnce+passwordsWaiting), work: phc.of}
}

// check reports whether the password is that of h. It does the same work whether it is or not.
func (p *passwords) check(ctx context.Context, h phc, password []byte) (bool, error) {
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		return false, errBusy
	}
	select {
	case p.working <- struct{}{}:
		defer func() { <-p.working }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return subtle.ConstantTimeCompare(p.work(h, password), h.sum) == 1, nil
}
