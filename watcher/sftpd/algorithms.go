package sftpd

import (
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// serverVersion names no version: who attacks learns nothing from it.
const serverVersion = "SSH-2.0-waybill"

// rekeyAfter is how many bytes are sent under one key.
const rekeyAfter = 1 << 30

// ciphers are those of every listener. The client's order decides, and OpenSSH's begins with ChaCha20: where the processor does AES, which it does several
// times as fast, ChaCha20 is not offered. Every client that knows ChaCha20 knows AES in one of these modes.
func ciphers(aes bool) []string {
	list := []string{ssh.CipherAES256GCM, ssh.CipherAES128GCM, ssh.CipherAES256CTR}
	if !aes {
		list = append(list, ssh.CipherChaCha20Poly1305)
	}
	return list
}

// doesAES reports whether the processor has instructions for AES in Galois mode.
func doesAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL
}

// modern are the algorithms of every listener. The NIST curves for the key exchange, which ssh-audit fails, are not among
// them: whoever knows them and not curve25519 (of 2013) is an old client.
func modern() ssh.ServerConfig {
	return ssh.ServerConfig{
		Config: ssh.Config{
			RekeyThreshold: rekeyAfter,
			KeyExchanges:   []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519}, // and its name of libssh
			Ciphers:        ciphers(doesAES()),
			MACs:           []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM},
		},
		PublicKeyAuthAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
			ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
		ServerVersion: serverVersion,
	}
}

// old are the algorithms of the legacy listeners: those of every listener, and what clients of 2010 have. CBC, RC4, MD5,
// DSA and the 1024-bit group are not among them: clients that have nothing else cannot be served safely at all.
func old() ssh.ServerConfig {
	c := modern()
	c.KeyExchanges = append(c.KeyExchanges, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
		ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256, ssh.InsecureKeyExchangeDH14SHA1)
	c.Ciphers = append(c.Ciphers, ssh.CipherAES192CTR, ssh.CipherAES128CTR)
	c.MACs = append(c.MACs, ssh.HMACSHA256, ssh.HMACSHA512, ssh.HMACSHA1)
	c.PublicKeyAuthAlgorithms = append(c.PublicKeyAuthAlgorithms, ssh.KeyAlgoRSA)
	return c
}
