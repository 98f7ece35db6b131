import { describe, expect, test } from 'vitest';
import { readRouterUrl } from './phi-route.ts';
import { Secrets } from './secrets.ts';

const read = (url: string, allowed?: string) =>
  readRouterUrl(
    new Secrets({
      LLM_ROUTER_URL: { name: 'LLM_ROUTER_URL', valueString: url },
      ...(allowed === undefined
        ? {}
        : { LLM_PHI_ALLOWED_HOSTS: { name: 'LLM_PHI_ALLOWED_HOSTS', valueString: allowed } }),
    })
  );
const failure = (code: string) => expect.objectContaining({ code });

describe('without a list of hosts', () => {
  test.each([
    ['http://localhost:8080/', 'http://localhost:8080'],
    ['http://llm.localhost', 'http://llm.localhost'],
    ['http://127.0.0.1:4000', 'http://127.0.0.1:4000'],
    ['http://127.1:4000', 'http://127.0.0.1:4000'],
    ['http://[::1]:4000', 'http://[::1]:4000'],
    ['http://10.1.2.3', 'http://10.1.2.3'],
    ['http://172.31.0.1', 'http://172.31.0.1'],
    ['http://192.168.1.1', 'http://192.168.1.1'],
    ['http://[fd12:3456::1]', 'http://[fd12:3456::1]'],
    ['http://llm-gateway:4000/base/', 'http://llm-gateway:4000/base'],
  ])('patient data may go to %s', (url, expected) => {
    expect(read(url)).toBe(expected);
  });

  test.each([
    'https://api.openai.com',
    'http://8.8.8.8',
    'http://172.32.0.1',
    'http://172.15.0.1',
    'http://192.169.1.1',
    'http://169.254.169.254',
    'http://100.64.0.1',
    'http://11.0.0.1',
    'http://[2001:db8::1]',
    'http://[::ffff:8.8.8.8]',
    'http://127.0.0.1.evil.example',
    'http://localhost.evil.example',
    'http://evil.example/#@localhost',
  ])('patient data may not go to %s', (url) => {
    expect(() => read(url)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/PHI_ROUTE_BLOCKED|NOT_CONFIGURED/) as unknown })
    );
  });
});

describe('with a list of hosts', () => {
  test('a host on it is allowed, with its port or without', () => {
    expect(read('https://llm.hospital.example:8443', 'other, LLM.hospital.example')).toBe(
      'https://llm.hospital.example:8443'
    );
    expect(read('https://llm.hospital.example:8443', 'llm.hospital.example:8443')).toBe(
      'https://llm.hospital.example:8443'
    );
  });

  test.each([
    ['https://llm.hospital.example:9', 'llm.hospital.example:8443'],
    ['https://evil.llm.hospital.example', 'llm.hospital.example'],
    ['http://localhost:8080', 'llm.hospital.example'],
  ])('%s is not among %s', (url, allowed) => {
    expect(() => read(url, allowed)).toThrow(failure('PHI_ROUTE_BLOCKED'));
  });
});

test.each([
  '',
  'llm-gateway:4000',
  'ftp://localhost',
  'file:///etc/passwd',
  'http://user:secret@localhost',
  'http://localhost?key=1',
  'not a url',
])('%j is no router URL', (url) => {
  expect(() => read(url)).toThrow(failure('NOT_CONFIGURED'));
});

test('a password in a refused URL is not repeated', () => {
  expect(() => read('http://user:hunter2@localhost')).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining('hunter2') as unknown })
  );
});
