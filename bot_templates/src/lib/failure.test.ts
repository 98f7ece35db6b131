import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { asFailure, BotFailure, errorName } from './failure.ts';

describe('BotFailure', () => {
  test('is an error whose name is its code', () => {
    const failure = new BotFailure('DB_ERROR', 'The database is gone', { code: '08006' });
    expect(String(failure)).toBe('DB_ERROR: The database is gone');
    expect(failure.output()).toEqual({
      success: false,
      errorCode: 'DB_ERROR',
      message: 'The database is gone',
      details: { code: '08006' },
    });
  });

  test('has no details in its output when it has none', () => {
    expect(new BotFailure('TIMEOUT', 'Late').output()).toEqual({
      success: false,
      errorCode: 'TIMEOUT',
      message: 'Late',
    });
  });
});

describe('asFailure', () => {
  test('leaves a BotFailure as it is', () => {
    const failure = new BotFailure('TIMEOUT', 'Late');
    expect(asFailure(failure, 'DB_ERROR')).toBe(failure);
  });

  test.each([
    ['an error that quotes a record', new SyntaxError('Unexpected token in "Eleanor Rigby"'), 'Unexpected SyntaxError'],
    ['an error of another context', runInNewContext('new TypeError("Eleanor")'), 'Unexpected TypeError'],
    ['a text', 'Eleanor', 'Unexpected error'],
    ['nothing', undefined, 'Unexpected error'],
    ['a name that is none', { name: 'Eleanor Rigby, born 1966' }, 'Unexpected error'],
  ])('keeps of %s no more than its name', (_name, thrown, message) => {
    expect(asFailure(thrown, 'EMBEDDING_ERROR')).toMatchObject({ code: 'EMBEDDING_ERROR', message });
  });

  test('errorName takes nothing for null', () => {
    expect(errorName(null)).toBe('error');
  });
});
