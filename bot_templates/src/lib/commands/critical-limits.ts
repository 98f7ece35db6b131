import type { Observation } from '@medplum/fhirtypes';
import { assessObservation } from '../decision/critical.ts';
import type { CriticalRule } from '../decision/tables.ts';
import { type Abnormality, INTERPRETATIONS } from './verified.ts';

/**
 * What the table of critical limits says of a value; the laboratory's own codes are looked at elsewhere.
 * @param age - Years; undefined where it is not known.
 */
export function criticalLimits(
  rules: readonly CriticalRule[],
  age: number | undefined
): (observation: Observation) => Abnormality | undefined {
  return (observation) => {
    const passed = assessObservation(observation, age, rules).critical.find(({ basis }) => basis === 'limit');
    return passed && INTERPRETATIONS[passed.interpretation];
  };
}
