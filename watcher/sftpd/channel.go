package sftpd

import (
	"context"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
)

// channel takes or refuses a channel. It is called on one goroutine.
func (c *connection) channel(ctx context.Context, n ssh.NewChannel) {
	refuse := func(reason ssh.RejectionReason, why string) {
		if c.refused++; c.refused > c.s.Limits.Refused {
			c.close("too many channels were refused")
			return
		}
		_ = n.Reject(reason, why) // it may be gone
	}
	if n.ChannelType() != "session" {
		refuse(ssh.Prohibited, "this server speaks SFTP only")
		return
	}
	if !c.s.opens(c) {
		refuse(ssh.ResourceShortage, "too many channels are open")
		return
	}
	ch, requests, err := n.Accept()
	if err != nil {
		c.closed()
		return
	}
	c.wg.Go(func() {
		defer c.closed()
		c.requests(ctx, ch, requests)
	})
}

// opens counts a channel of a session, if it may have one more, and its partner too: what is sent into a channel is held in memory, up to 2 MiB of it.
func (s *Server) opens(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, all := 0, 0
	for other := range s.sessions {
		if other.Account.Name != c.Account.Name {
			continue
		}
		other.mu.Lock()
		all += other.open
		if other == c {
			own = other.open
		}
		other.mu.Unlock()
	}
	if own >= s.Limits.Channels || all >= s.Limits.AllChannels {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	return true
}

func (c *connection) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
}

// requests answers what is asked on a channel: the subsystem sftp, once, and nothing else.
func (c *connection) requests(ctx context.Context, ch ssh.Channel, requests <-chan *ssh.Request) {
	speaking := false
	ended := make(chan struct{})
	for r := range requests {
		if speaking || r.Type != "subsystem" || !isSFTP(r.Payload) {
			_ = r.Reply(false, nil) // it may be gone
			continue
		}
		speaking = true
		c.mu.Lock()
		c.channels++
		c.mu.Unlock()
		_ = r.Reply(true, nil) // it may be gone
		go func() {
			defer close(ended)
			c.speak(ctx, ch)
		}()
	}
	if speaking {
		<-ended
	}
	_ = ch.Close() // the peer has closed it
}

func isSFTP(payload []byte) bool {
	var m struct{ Name string }
	return ssh.Unmarshal(payload, &m) == nil && m.Name == "sftp"
}

// speak has the other half serve a channel.
func (c *connection) speak(ctx context.Context, ch ssh.Channel) {
	status := uint32(0)
	err := c.s.Files.Serve(ctx, c.Session, &stream{ch, c})
	if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
		status = 1
		c.s.Log.Info("SFTP ended", "partner", c.Account.Name, "address", c.Address, "error", err)
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status})) // it may be gone
	_ = ch.Close()                                                                            // so may this be
}

// A stream is a channel that counts what moves.
type stream struct {
	ssh.Channel
	c *connection
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Channel.Read(p)
	s.c.in.Add(int64(n))
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Channel.Write(p)
	s.c.out.Add(int64(n))
	return n, err
}
