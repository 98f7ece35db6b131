import { describe, expect, test } from 'vitest';
import { failureOf, GOOD, NOTE, raw, saying, useChat } from '../../../test/support/chatting.ts';
import { answer, hangUp, silence, status } from '../../../test/support/router.ts';

describe('askModel', () => {
  const { router, use, ask, formats } = useChat();

  describe('repairs once', () => {
    test.each([
      ['no JSON', 'The HbA1c was 8.2 %.', 'it holds no JSON object'],
      ['nothing', '', 'it holds no JSON object'],
      ['no content', null, 'it holds no JSON object'],
      ['a refusal', undefined, 'it holds no JSON object'],
      ['another schema', '{"answer": "8.2"}', 'answer.sentences: is missing'],
      ['a list', '[]', 'answer: must be an object'],
    ])('%s', async (_name, content, violation) => {
      router.chatFaults = [saying(content)];
      router.chat = () => GOOD;
      const { value } = await ask();
      expect(value).toEqual(GOOD);
      const messages = router.chats[1]?.body.messages ?? [];
      expect(messages.at(-1)?.content).toContain(violation);
      expect(messages.at(-2)).toEqual({ role: 'assistant', content: content ?? '' });
      // The same sources under the same key: what the model cites stays valid.
      expect(messages.slice(0, 2)).toEqual(router.chats[0]?.body.messages);
    });

    test('and adds the tokens of both', async () => {
      let calls = 0;
      router.chat = () => (calls++ === 0 ? 'no' : GOOD);
      expect((await ask()).tokensUsed.total).toBe(240);
    });

    test('and not twice', async () => {
      router.chat = () => ({ sentences: [{ text: NOTE }] });
      const failure = await failureOf(ask());
      expect(failure).toMatchObject({
        code: 'LLM_INVALID_OUTPUT',
        details: { violation: 'answer.sentences[0].citations: is missing' },
      });
      expect(JSON.stringify(failure.output())).not.toContain('suicidal');
      expect(router.chats).toHaveLength(2);
    });

    test.each([
      ['no choices', answer('{}')],
      ['choices that are none', answer('{"choices": "none"}')],
      ['a choice without a message', raw({})],
    ])('a document with %s', async (_name, fault) => {
      router.chatFaults = [fault, fault];
      expect((await failureOf(ask())).code).toBe('LLM_INVALID_OUTPUT');
    });
  });

  describe('falls back, for older routers', () => {
    test('from json_schema to json_object, with the schema in the message', async () => {
      router.chatFaults = [status(400)];
      router.chat = () => GOOD;
      expect((await ask()).value).toEqual(GOOD);
      expect(formats()).toEqual(['json_schema', 'json_object']);
      const last = router.chats[1]?.body.messages?.at(-1)?.content ?? '';
      expect(last).toContain('"required":["sentences"]');
      expect(JSON.stringify(router.chats[1]?.body.messages)).toContain('JSON');
    });

    test('from there to no format', async () => {
      router.chatFaults = [status(400), status(422)];
      router.chat = () => GOOD;
      expect((await ask()).value).toEqual(GOOD);
      expect(formats()).toEqual(['json_schema', 'json_object', undefined]);
    });

    test('and keeps to what went through when it repairs', async () => {
      router.chatFaults = [status(400), saying('no JSON')];
      router.chat = () => GOOD;
      expect((await ask()).value).toEqual(GOOD);
      expect(formats()).toEqual(['json_schema', 'json_object', 'json_object']);
    });

    test('and gives up when none goes through', async () => {
      router.chatFaults = [status(400), status(400), status(400)];
      expect((await failureOf(ask())).code).toBe('LLM_ROUTER_ERROR');
      expect(router.chats).toHaveLength(3);
    });
  });

  describe('fails', () => {
    test.each([
      ['a router that is busy once', [status(429)]],
      ['a router that breaks once', [status(500)]],
      ['a connection that breaks once', [hangUp]],
    ])('not for %s', async (_name, faults) => {
      router.chatFaults = faults;
      router.chat = () => GOOD;
      expect((await ask()).value).toEqual(GOOD);
    });

    test.each([
      ['busy', [status(429), status(429)], 'LLM_ERROR'],
      ['broken', [status(500), status(503)], 'LLM_ERROR'],
      ['unreachable', [hangUp, hangUp], 'LLM_ERROR'],
      ['silent', [silence], 'LLM_ERROR'],
      ['answering something that is no JSON', [answer('<html>'), answer('<html>')], 'LLM_ERROR'],
      ['refusing the key', [status(401)], 'LLM_ROUTER_ERROR'],
      ['without the alias', [status(404)], 'LLM_ROUTER_ERROR'],
    ])('with a router that is %s, and without its words', async (_name, faults, code) => {
      router.chatFaults = faults;
      const failure = await failureOf(ask());
      expect(failure.code).toBe(code);
      expect(JSON.stringify(failure.output())).not.toMatch(/cannot embed|suicidal|8\.2/);
    });

    test('where the router is not for patient data', async () => {
      use({ LLM_ROUTER_URL: 'https://api.example.com' });
      expect((await failureOf(ask())).code).toBe('PHI_ROUTE_BLOCKED');
      expect(router.calls).toEqual([]);
    });

    test('where no router is set', async () => {
      use({ LLM_ROUTER_URL: ' ' });
      expect((await failureOf(ask())).code).toBe('NOT_CONFIGURED');
    });
  });
});
