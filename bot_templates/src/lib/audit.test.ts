import { describe, expect, test } from 'vitest';
import { type AuditRecord, textFacts } from './audit.ts';

describe('texts that a site keeps in the audit trail', () => {
  const kept = (prompt: string): string => {
    const record: AuditRecord = { type: 'llm_request', action: 'E', outcome: '0', prompt };
    return String(textFacts(record, true).prompt);
  };

  test.each([
    ['a short one whole', 'Fieber, 39 °C', 'Fieber, 39 °C'],
    ['10,000 bytes of one that is longer', 'a'.repeat(20_000), 'a'.repeat(10_000)],
    ['no half of a character of two bytes', `a${'ä'.repeat(10_000)}`, `a${'ä'.repeat(4_999)}`],
    ['no half of a pair of surrogates', `abc${'😀'.repeat(10_000)}`, `abc${'😀'.repeat(2_499)}`],
  ])('are %s', (_name, text, stored) => {
    expect(kept(text)).toBe(stored);
  });

  test('are hash and length alone where the site wants no texts', () => {
    const record: AuditRecord = { type: 'llm_request', action: 'E', outcome: '0', response: 'secret' };
    expect(Object.keys(textFacts(record, false))).toEqual(['response-sha256', 'response-length']);
  });
});
