# The code of matrix.c. lane_LANE(i) returns i + 5, with an instruction of that lane at site_LANE;
# fault_LANE(p) faults at site_fault_LANE when p is bad, and returns 5 once the handler has put the
# register right; system calls come from one place each.
    .globl site_emulate, after_emulate, site_boost, after_boost, site_trap, after_trap
    .globl site_in_place, after_in_place, site_fault_emulate, site_fault_boost, site_fault_trap
    .globl site_fault_in_place, site_syscall, site_clone, site_fill
    .globl lane_emulate, lane_boost, lane_trap, lane_in_place
    .globl fault_emulate, fault_boost, fault_trap, fault_in_place
    .globl returns_five, far_landing, raw_syscall, raw_clone, fill

#ifdef __x86_64__
    .data
five:
    .quad 5

    .text
lane_emulate:
    mov %rdi, %rax
site_emulate:
    jmp after_emulate
    ud2
after_emulate:
    add $5, %rax
    ret

lane_boost:
    mov %rdi, %rax
site_boost:
    add five(%rip), %rax
after_boost:
    nop
    ret

lane_trap:
    mov %rdi, %rax
    pushf
site_trap:
    popf
after_trap:
    add $5, %rax
    ret

lane_in_place:
    mov %rdi, %rax
    mov %cs, %ecx
    push %rcx
    lea after_in_place(%rip), %rdx
    push %rdx
site_in_place:
    lretq
after_in_place:
    add $5, %rax
    ret

fault_emulate:
    mov %rsp, %rdx
    mov %rdi, %rsp
site_fault_emulate:
    push %rax
    mov %rdx, %rsp
    mov $5, %eax
    ret

fault_boost:
site_fault_boost:
    mov (%rdi), %rax
    ret

fault_trap:
site_fault_trap:
    call *(%rdi)
    ret

fault_in_place:
    mov %rsp, %rdx
    mov %rdi, %rsp
site_fault_in_place:
    lretq
far_landing:
    mov %rdx, %rsp
returns_five:
    mov $5, %eax
    ret

raw_syscall:  # number, a, b, c
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    xor %r10d, %r10d
site_syscall:
    syscall
    ret

raw_clone:  # stack; the child calls what is on it and ends
    mov $56, %eax
    mov %rdi, %rsi
    mov $0x50f00, %edi  # VM | FS | FILES | SIGHAND | THREAD | SYSVSEM
    xor %edx, %edx
    xor %r10d, %r10d
    xor %r8d, %r8d
site_clone:
    syscall
    test %rax, %rax
    jnz 1f
    pop %rax
    call *%rax
    mov $60, %eax
    xor %edi, %edi
    syscall
1:  ret

fill:  # to, byte, size
    mov %esi, %eax
    mov %rdx, %rcx
site_fill:
    rep stosb
    ret

#else
    .text
lane_emulate:
    mov 4(%esp), %eax
site_emulate:
    jmp after_emulate
    ud2
after_emulate:
    add $5, %eax
    ret

lane_boost:
site_boost:
    lock addl $5, 4(%esp)
after_boost:
    mov 4(%esp), %eax
    ret

lane_trap:
    mov 4(%esp), %eax
    pushf
site_trap:
    popf
after_trap:
    add $5, %eax
    ret

lane_in_place:
    mov 4(%esp), %eax
    mov %cs, %ecx
    push %ecx
    call 1f
1:  addl $(after_in_place - 1b), (%esp)
site_in_place:
    lret
after_in_place:
    add $5, %eax
    ret

fault_emulate:
    mov %esp, %edx
    mov 4(%esp), %esp
site_fault_emulate:
    push %eax
    mov %edx, %esp
    mov $5, %eax
    ret

fault_boost:
    mov 4(%esp), %ecx
site_fault_boost:
    mov (%ecx), %eax
    ret

fault_trap:
    mov 4(%esp), %ecx
site_fault_trap:
    call *(%ecx)
    ret

fault_in_place:
    mov %esp, %edx
    mov 4(%esp), %esp
site_fault_in_place:
    lret
far_landing:
    mov %edx, %esp
returns_five:
    mov $5, %eax
    ret

raw_syscall:  # number, a, b, c
    push %ebx
    mov 8(%esp), %eax
    mov 12(%esp), %ebx
    mov 16(%esp), %ecx
    mov 20(%esp), %edx
site_syscall:
    int $0x80
    pop %ebx
    ret

raw_clone:  # stack; the child calls what is on it and ends
    push %ebx
    push %esi
    push %edi
    mov $120, %eax
    mov $0x50f00, %ebx  # VM | FS | FILES | SIGHAND | THREAD | SYSVSEM
    mov 16(%esp), %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
site_clone:
    int $0x80
    test %eax, %eax
    jnz 1f
    pop %eax
    call *%eax
    mov $1, %eax
    xor %ebx, %ebx
    int $0x80
1:  pop %edi
    pop %esi
    pop %ebx
    ret

fill:  # to, byte, size
    push %edi
    mov 8(%esp), %edi
    mov 12(%esp), %eax
    mov 16(%esp), %ecx
site_fill:
    rep stosb
    pop %edi
    ret
#endif
    .section .note.GNU-stack, "", @progbits
