/** An e-mail address; or nothing but digits and punctuation, with as many digits as a CPF, a CNPJ or a telephone number has. */
export function looksPersonal(text: string): boolean {
  if (text.includes('@')) return true;
  const digits = text.replaceAll(/\D/g, '').length;
  return digits >= 10 && digits <= 14 && /^[\d\s().+/-]+$/.test(text);
}
