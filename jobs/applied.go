package jobs

import (
	"bytes"

	"waybill/jobs/expression"
	"waybill/outbox"
)

// CompileAnswer compiles an expression about an answer, as in `unknown: {ask: {applied: =response.status == 200}}`.
func CompileAnswer(src string) (func(outbox.Response) (bool, error), error) {
	p, err := answerScope().Condition(src)
	if err != nil {
		return nil, err
	}
	return func(r outbox.Response) (bool, error) {
		env, _ := answerEnv(r)
		return p.Bool(env)
	}, nil
}

// answerScope is what expressions about an answer see: response alone.
func answerScope() *expression.Scope {
	response := expression.Type{Kind: expression.KindObject, Fields: []expression.Field{
		{Name: "status", Type: expression.Of(expression.KindInteger)},
		{Name: "headers", Type: expression.Of(expression.KindAny)},
		{Name: "body", Type: expression.Of(expression.KindAny)},
	}}
	return expression.NewScope(nil, expression.Field{Name: "response", Type: response})
}

// answerEnv is an answer as those expressions see it; unreadable says why it has no body.
func answerEnv(r outbox.Response) (env map[string]any, unreadable error) {
	response := map[string]any{"status": int64(r.Status), "headers": headersObject(r.Headers)}
	if len(bytes.TrimSpace(r.Body)) > 0 {
		response["body"], unreadable = decodeJSON(r.Body)
	}
	return map[string]any{"response": response}, unreadable
}
