import { costOf } from '../../test/support/cost.ts';
import { describe, expect, test } from 'vitest';
import { parseInput } from './input.ts';

const repeated = (times: number) => Array.from({ length: times }, () => ({ name: 'a', valueInteger: 1 }));

function nested(depth: number): object[] {
  let parameter: object[] = repeated(1);
  for (let level = 0; level < depth; level++) {
    parameter = [{ name: 'a', part: parameter }];
  }
  return parameter;
}

describe('parseInput', () => {
  test('takes plain JSON as it is', () => {
    expect(parseInput({ query: 'asthma', limit: 3 })).toEqual({
      kind: 'command',
      fields: { query: 'asthma', limit: 3 },
    });
  });

  test('unwraps input, once', () => {
    expect(parseInput({ input: { input: { query: 'asthma' } } })).toEqual({
      kind: 'command',
      fields: { input: { query: 'asthma' } },
    });
  });

  test('leaves a field input beside others alone', () => {
    expect(parseInput({ input: { a: 1 }, other: 2 })).toMatchObject({ fields: { input: { a: 1 }, other: 2 } });
  });

  test('never unwraps a resource: a Task has an input of its own', () => {
    const task = { resourceType: 'Task', meta: {}, input: { command: 'x' } };
    expect(parseInput(task)).toEqual({ kind: 'resource', resource: task });
    const bare = { resourceType: 'Task', input: { command: 'x' } };
    expect(parseInput(bare)).toEqual({ kind: 'command', fields: bare });
  });

  test('knows a resource that a subscription delivers by its meta', () => {
    expect(parseInput({ resourceType: 'Condition', id: '1' }).kind).toBe('command');
    expect(parseInput({ resourceType: 'Condition', id: '1', meta: { versionId: '2' } }).kind).toBe('resource');
  });

  test('knows a deletion', () => {
    const resource = { resourceType: 'Condition', id: '1' };
    expect(parseInput({ deletedResource: resource })).toEqual({ kind: 'deleted', resource });
  });

  test('reads Parameters: values of every type, repetitions, parts', () => {
    const input = {
      resourceType: 'Parameters',
      parameter: [
        { name: 'query', valueString: 'asthma' },
        { name: 'limit', valueInteger: 3 },
        { name: 'includeSnippets', valueBoolean: false },
        { name: 'resourceTypes', valueCode: 'Condition' },
        { name: 'resourceTypes', valueCode: 'Observation' },
        { name: 'resourceTypes', valueCode: 'DiagnosticReport' },
        { name: 'dateRange', part: [{ name: 'start', valueDate: '2024-01-01' }] },
        { name: '__proto__', valueString: 'polluted' },
      ],
    };
    const { fields } = parseInput(input) as { fields: Record<string, unknown> };
    expect(fields).toMatchObject({
      query: 'asthma',
      limit: 3,
      includeSnippets: false,
      resourceTypes: ['Condition', 'Observation', 'DiagnosticReport'],
      dateRange: { start: '2024-01-01' },
    });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
  });

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a text', '{"query": "asthma"}'],
    ['a number', 7],
    ['a list', [{ query: 'asthma' }]],
    ['Parameters that are no list', { resourceType: 'Parameters', parameter: { name: 'query' } }],
    ['a parameter without a name', { resourceType: 'Parameters', parameter: [{ valueString: 'x' }] }],
    ['a parameter that is none', { resourceType: 'Parameters', parameter: [null] }],
    ['more parameters than any command has', { resourceType: 'Parameters', parameter: repeated(1_001) }],
    ['parts in parts without end', { resourceType: 'Parameters', parameter: nested(20_000) }],
  ])('refuses %s', (_name, input) => {
    expect(() => parseInput(input)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });

  test('reads many repetitions in no time', () => {
    const many = { resourceType: 'Parameters', parameter: repeated(1_000) };
    expect(parseInput(many)).toMatchObject({ fields: { a: repeated(1_000).map(() => 1) } });
    expect(costOf(() => parseInput(many))).toBeLessThan(1_000);
  });

  test('takes Parameters without a parameter for an empty command', () => {
    expect(parseInput({ resourceType: 'Parameters' })).toEqual({ kind: 'command', fields: {} });
  });
});
