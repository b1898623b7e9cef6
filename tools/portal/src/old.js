// What @noble takes for granted and browsers of the age meant here lack.

if (!Object.hasOwn) Object.hasOwn = (of, key) => Object.prototype.hasOwnProperty.call(of, key);
