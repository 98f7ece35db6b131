import type { Fields } from '../fields.ts';
import type { DecisionRules, SiteChanges } from './rules.ts';
import { changedBy, MOST, NAME, newId, optionalSides, refuseIf, sides, TEXT, withoutOff } from './site-parts.ts';
import { SEVERITIES } from './tables.ts';

/** The ingredients and classes with those of the site. */
export function withDrugs(rules: DecisionRules, part: Fields | undefined, site: SiteChanges): DecisionRules {
  const classes = [...rules.classes];
  for (const fields of part?.objects('addClasses', MOST) ?? []) {
    const duplicate = fields.oneOf('duplicate', SEVERITIES);
    classes.push({
      code: newId(
        fields,
        'code',
        classes.map(({ code }) => code)
      ),
      display: fields.present('display', fields.text('display', NAME)),
      ...(duplicate ? { duplicate } : {}),
    });
    fields.done();
    site.added++;
  }
  const ingredients = [...rules.ingredients];
  for (const fields of part?.objects('add', MOST) ?? []) {
    const name = fields.present('name', fields.text('name', NAME));
    refuseIf(
      ingredients.some((each) => each.name === name),
      'ingredients.add',
      'repeats an ingredient'
    );
    const [also, brands] = [fields.texts('also', 50, NAME), fields.texts('brands', 50, NAME)];
    const rxnorm = fields.text('rxnorm', 20);
    refuseIf(
      rxnorm !== undefined && ingredients.some((each) => each.rxnorm === rxnorm),
      'ingredients.add',
      "gives one ingredient another's RxNorm code"
    );
    const own = fields.texts('classes', 20, NAME) ?? [];
    refuseIf(
      own.some((code) => !classes.some((each) => each.code === code)),
      'ingredients.add',
      'names an unknown class'
    );
    fields.done();
    ingredients.push({
      name,
      ...(also ? { also } : {}),
      ...(brands ? { brands } : {}),
      ...(rxnorm === undefined ? {} : { rxnorm }),
      classes: own,
    });
    site.added++;
  }
  part?.done();
  return { ...rules, classes, ingredients };
}

export function withInteractions(rules: DecisionRules, part: Fields | undefined, site: SiteChanges) {
  const kept = withoutOff(rules.interactions, part, 'interactions', site);
  const interactions = changedBy(kept, part, 'interactions', site, (rule, fields) => ({
    ...rule,
    severity: fields.present('severity', fields.oneOf('severity', SEVERITIES)),
  }));
  for (const fields of part?.objects('add', MOST) ?? []) {
    interactions.push({
      id: newId(
        fields,
        'id',
        interactions.map(({ id }) => id)
      ),
      one: sides(fields, 'one', rules),
      other: sides(fields, 'other', rules),
      severity: fields.present('severity', fields.oneOf('severity', SEVERITIES)),
      mechanism: fields.present('mechanism', fields.text('mechanism', TEXT)),
      management: fields.present('management', fields.text('management', TEXT)),
    });
    fields.done();
    site.added++;
  }
  part?.done();
  return { interactions };
}

export function withDuplicates(rules: DecisionRules, part: Fields | undefined, site: SiteChanges) {
  const duplicatesOff = part === undefined ? [] : (optionalSides(part, 'off', rules) ?? []);
  part?.done();
  site.switchedOff += duplicatesOff.length;
  return { duplicatesOff };
}

export function withAllergies(rules: DecisionRules, part: Fields | undefined, site: SiteChanges) {
  const allergies = withoutOff(rules.allergies, part, 'allergies', site);
  for (const fields of part?.objects('add', MOST) ?? []) {
    const id = newId(
      fields,
      'id',
      allergies.map((each) => each.id)
    );
    const cross = (fields.objects('cross', 20) ?? []).map((each) => {
      const one = {
        members: sides(each, 'members', rules),
        severity: each.present('severity', each.oneOf('severity', SEVERITIES)),
        note: each.present('note', each.text('note', TEXT)),
      };
      each.done();
      return one;
    });
    allergies.push({
      id,
      display: fields.present('display', fields.text('display', NAME)),
      names: fields.present('names', fields.texts('names', 50, NAME)),
      members: sides(fields, 'members', rules),
      severity: fields.present('severity', fields.oneOf('severity', SEVERITIES)),
      cross,
    });
    fields.done();
    site.added++;
  }
  part?.done();
  return { allergies };
}
